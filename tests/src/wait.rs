//! Waiting for something to become true: asked again and again until a deadline, never slept for.

use std::time::{Duration, Instant};

const AGAIN: Duration = Duration::from_millis(20);

/// Asks until there is an answer; panics with `what` when there is none within `limit`.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(AGAIN).await;
    }
}

/// [`eventually`], for a condition.
pub async fn until(what: &str, limit: Duration, mut is: impl AsyncFnMut() -> bool) {
    eventually(what, limit, async || is().await.then_some(())).await;
}
