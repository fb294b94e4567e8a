// A request that fails must not fail in silence: the page says so, and the answer stays in its form.
const show = (id, shown) => { document.getElementById(id).hidden = !shown; };
document.addEventListener("htmx:error", () => {
  show("refused", false);
  show("lost", true);
});
document.addEventListener("htmx:after:swap", ({ target, detail }) => {
  show("lost", false);
  // An answer of the server's that is no part of the page has said why itself.
  if (detail.ctx.swap === "none") return;
  show("refused", false);
  // The button that was pressed is gone; whoever goes by keyboard or listens goes on at the feedback.
  if (document.activeElement === document.body) target.closest("article")?.querySelector(".feedback")?.focus();
});

// A shared tablet: a page that nobody has touched for so long signs out, in whichever tab the last touch was. What
// was touched last is kept on the device, so that a tab closed without a connection is no way around it.
const SEEN = "specchem-seen", MINUTE = 60_000; // milliseconds
const limit = Number(document.body.dataset.idleMinutes || 0) * MINUTE;
const touched = () => localStorage.setItem(SEEN, Date.now());
function look() {
  const quiet = Date.now() - localStorage.getItem(SEEN);
  show("idle", quiet >= Math.max(limit - MINUTE, limit / 2));
  if (quiet >= limit) document.querySelector("form[action='/logout']").requestSubmit();
}
if (location.pathname === "/login") localStorage.removeItem(SEEN);
if (limit) {
  if (!localStorage.getItem(SEEN)) touched();
  look();
  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) {
    addEventListener(kind, () => {
      if (Date.now() - localStorage.getItem(SEEN) >= limit) return look();
      touched();
      show("idle", false);
    }, { passive: true });
  }
  touched();
  setInterval(look, 5_000);
  addEventListener("visibilitychange", look);
}
