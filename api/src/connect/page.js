// Follows a connection that is being made. All words come from the server: when the stage changes, the page is
// loaded again. Without scripts the page loads itself again every two seconds.
"use strict";

const LOOK_EVERY_MS = 1000;
const main = document.querySelector("main[data-watch]");

async function look() {
  try {
    const answer = await fetch(main.dataset.watch, { credentials: "same-origin", cache: "no-store" });
    if (answer.ok) {
      const { stage } = await answer.json();
      if (stage !== main.dataset.stage) {
        location.reload();
        return;
      }
    } else if (answer.status < 500) {
      location.reload();
      return;
    }
  } catch {
    // The server is away for a moment: the next look tells.
  }
  setTimeout(look, LOOK_EVERY_MS);
}

if (main) {
  setTimeout(look, LOOK_EVERY_MS / 2);
}
