//! How the budgets of whole applications stand, for people to read. What reserves and accounts for calls is
//! [`super::budgets`].

use super::Error;
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// A budget in the window that is open now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Whose calls count: `provider:what`.
    pub scope: String,
    /// The window's length.
    pub window_s: i32,
    /// Calls allowed.
    pub limit: i32,
    /// Calls made, as far as is known.
    pub used: i32,
    /// Calls that workers have taken and not accounted for.
    pub reserved: i64,
    /// Calls that the provider refused in this window.
    pub refused: i32,
    /// When the next window begins.
    pub resets_at: DateTime<Utc>,
}

/// The budgets of all applications, by scope. A single user's own are left out: there is one for each.
pub async fn of_applications(db: impl PgExecutor<'_>) -> Result<Vec<Budget>, Error> {
    Ok(sqlx::query_as!(
        Budget,
        r#"with now as (
             select b.*, to_timestamp(floor((extract(epoch from t.now) - border_s) / window_s) * window_s + border_s) as opened
               from paceline.budgets b, (select clock_timestamp() as now) t
              where scope !~ ':[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
           select scope as "scope!", window_s as "window_s!", call_limit as "limit!",
                  case when window_start >= opened then greatest(spent, header_used) else 0 end as "used!",
                  coalesce((select sum(calls) from paceline.budget_reservations r
                             where r.scope = now.scope and r.window_s = now.window_s and r.window_start = opened), 0)::bigint
                    as "reserved!",
                  case when window_start >= opened then refused else 0 end as "refused!",
                  opened + window_s * interval '1 second' as "resets_at!"
             from now order by scope, window_s"#
    )
    .fetch_all(db)
    .await?)
}
