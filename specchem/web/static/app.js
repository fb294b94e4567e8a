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
