// The learner's pages. An answer is kept on the device before it is sent and until the server has said what became of
// it, so that neither a lost connection nor a closed tab loses it. Everything is kept under the learner's name: on a
// shared tablet nobody sends another person's answers. Without this script the pages work by forms and links.
const { learner } = document.body.dataset;
localStorage.length; // where nothing can be kept this throws, and the forms do the work
const ANSWER = `specchem-answer ${learner} `, CHOSEN = `specchem-chosen ${learner} `;
const AWAY = [502, 503, 504]; // the server, or what stands before it, cannot take it now
const PATIENCE = 20_000, AGAIN = 15_000; // milliseconds
const one = (id) => document.getElementById(id);
const show = (id, shown = true) => { if (one(id)) one(id).hidden = !shown; };
const submitting = new Set();

// ---- what is kept on the device
const keys = (prefix) => Object.keys(localStorage).filter((key) => key.startsWith(prefix)).sort();
const read = (key) => JSON.parse(localStorage.getItem(key));
const kept = () => keys(ANSWER).map((key) => [key, read(key)]);
const waiting = () => kept().filter(([key, answer]) => !answer.refusal && !submitting.has(key));

function keep(form) {
  const fields = new FormData(form), { course, section, language } = form.closest("#section").dataset;
  const answeredAt = new Date().toISOString(), id = fields.get("event_id");
  const key = `${ANSWER}${answeredAt} ${id}`; // in the order of answering
  const known = keys(ANSWER).find((other) => other.endsWith(id));
  if (known) return known;
  localStorage.setItem(key, JSON.stringify({
    id, course_id: course, section_key: section, question_key: form.closest("article").id,
    response_meta: { choices: fields.getAll("choice"), language }, answered_at: answeredAt,
  }));
  return key;
}

const chosenKey = (article) => CHOSEN + JSON.stringify([one("section").dataset.course, one("section").dataset.section, article.id]);
const forget = (key) => localStorage.removeItem(key);

function tell() {
  const count = waiting().length, banner = one("kept");
  banner.hidden = !count;
  if (count) banner.textContent = (count === 1 ? banner.dataset.one : banner.dataset.many).replace("{n}", count);
  const refused = kept().filter(([, answer]) => answer.refusal);
  one("undelivered").querySelector("ul").replaceChildren(...refused.map(([, answer]) => {
    const line = document.createElement("li");
    line.textContent = `${answer.asked ?? answer.question_key}: ${answer.refusal}`;
    return line;
  }));
  show("undelivered", refused.length > 0);
}

// ---- one question at a time
const questions = () => [...document.querySelectorAll("#section article.question")];
const done = (article) => article.matches(".right, .kept");

function turnTo(article) {
  if (!article) return;
  for (const other of questions()) other.hidden = other !== article;
  for (const link of document.querySelectorAll("#steps a")) {
    if (link.hash === `#${encodeURIComponent(article.id)}` || link.hash === `#${article.id}`) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
}

function named(hash) {
  const found = hash.length > 1 && one(decodeURIComponent(hash.slice(1)));
  return found && found.matches("article.question") ? found : null;
}

function go(article) {
  if (!article) return;
  turnTo(article);
  history.replaceState(null, "", `#${encodeURIComponent(article.id)}`);
  one("steps").scrollIntoView({ block: "start" });
  article.querySelector("fieldset:enabled input:checked, fieldset:enabled input, .feedback")?.focus({ preventScroll: true });
}

function mark(article) {
  article.classList.remove("open", "missed");
  article.classList.add("kept");
  article.querySelector("fieldset").disabled = true;
  article.querySelector("[type=submit]")?.remove();
  const note = document.createElement("p");
  note.className = "notice wait";
  note.textContent = one("will-be-graded").textContent;
  article.querySelector(".feedback").replaceChildren(note);
  const step = [...document.querySelectorAll("#steps a")].find((link) => named(link.hash) === article);
  step.className = "kept";
  step.querySelector(".said").textContent = step.dataset.kept;
  const next = article.querySelector(".next");
  if (next) {
    next.hidden = !questions().some((other) => !done(other));
    next.setAttribute("role", "button");
  }
}

function choose(article, choices) {
  for (const box of article.querySelectorAll("[name=choice]")) box.checked = choices.includes(box.value);
}

function arrange() {
  if (!one("section")) return;
  const { course, section } = one("section").dataset;
  for (const [, answer] of waiting()) {
    const article = answer.course_id === course && answer.section_key === section && one(answer.question_key);
    if (!article || article.matches(".right, .kept")) continue;
    choose(article, answer.response_meta.choices);
    mark(article);
  }
  for (const article of questions()) {
    const chosen = localStorage.getItem(chosenKey(article));
    if (chosen && !done(article)) choose(article, JSON.parse(chosen));
  }
}

function begin() {
  arrange();
  const all = questions();
  turnTo(named(location.hash) ?? all.find((article) => !done(article)) ?? all[0]);
}

// ---- to the server and back
// Puts what the server wrote into the page, part by part.
function graft(html, ids) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const id of ids ?? [...fresh.body.children].map((part) => part.id)) {
    const old = one(id), part = fresh.getElementById(id);
    if (!old || !part) continue;
    part.hidden = old.hidden;
    old.replaceWith(part);
  }
}

async function ask(address, options = {}) {
  const response = await fetch(address, {
    ...options, headers: { "HX-Request": "true", ...options.headers }, signal: AbortSignal.timeout(PATIENCE),
  });
  if (AWAY.includes(response.status)) throw new Error("away");
  return response;
}

const onwards = (response) => response.headers.get("HX-Redirect");
const isSignIn = (address) => address?.startsWith("/login") || address?.startsWith("/two-factor");

function refuse(html) {
  one("refused").textContent = new DOMParser().parseFromString(html, "text/html").body.textContent.trim();
  show("refused");
}

async function send(form) {
  const article = form.closest("article"), button = form.querySelector("[type=submit]");
  for (const id of ["refused", "sent", "nothing-ahead"]) show(id, false);
  if (!new FormData(form).has("choice")) {
    const note = document.createElement("p");
    note.className = "notice bad";
    note.textContent = one("choose").textContent;
    const feedback = article.querySelector(".feedback");
    feedback.replaceChildren(note);
    feedback.focus();
    return;
  }
  const others = waiting().length;
  let key;
  try {
    key = keep(form);
  } catch { // the device is full
    form.submit();
    return;
  }
  forget(chosenKey(article));
  if (others) { // what waits longer goes first
    later(article);
    deliver();
    return;
  }
  submitting.add(key);
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  const body = new URLSearchParams(new FormData(form)), choices = body.getAll("choice");
  try {
    const response = await ask(form.action, { method: "POST", body });
    if (isSignIn(onwards(response))) {
      submitting.delete(key);
      later(article);
      show("ended");
      return;
    }
    const html = await response.text();
    forget(key);
    if (response.headers.get("HX-Reswap") === "none" || !html.includes("<article")) {
      localStorage.setItem(chosenKey(article), JSON.stringify(choices)); // it was not taken: it stays in its form
      refuse(html);
      return;
    }
    graft(html);
    turnTo(one(article.id));
    one(article.id).querySelector(".feedback").focus({ preventScroll: true });
    arrange();
  } catch {
    submitting.delete(key);
    later(article);
  } finally {
    submitting.delete(key);
    button.disabled = false;
    button.removeAttribute("aria-busy");
    tell();
  }
}

function later(article) {
  mark(article);
  tell();
  article.querySelector(".feedback").focus({ preventScroll: true });
}

let delivering = false;
async function deliver() {
  tell();
  const answers = waiting().slice(0, 500);
  if (delivering || !answers.length || !one("kept")) return;
  delivering = true;
  try {
    const token = document.querySelector("[name=_csrf_token]").value;
    const response = await ask("/answers", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify({ learner, events: answers.map(([, answer]) => answer) }),
    });
    show("ended", isSignIn(onwards(response)));
    if (onwards(response)) return;
    if (!response.ok) return refuse(await response.text());
    const results = await response.json();
    answers.forEach(([key, answer], place) => {
      const { refusal } = results[place];
      if (!refusal) return forget(key);
      const asked = one(answer.question_key)?.querySelector("legend")?.textContent;
      localStorage.setItem(key, JSON.stringify({ ...answer, refusal, asked }));
    });
    const graded = results.filter((result) => !result.refusal), sent = one("sent");
    if (graded.length) {
      const right = graded.filter((result) => result.is_correct).length;
      sent.textContent = (graded.length === 1 ? sent.dataset.one : sent.dataset.many)
        .replace("{n}", graded.length).replace("{right}", right);
      sent.hidden = false;
    }
    await freshen(answers.map(([, answer]) => answer));
  } catch {
    // No connection yet; it is tried again.
  } finally {
    delivering = false;
    tell();
  }
}

// Shows the grades of what was answered on this page.
async function freshen(answers) {
  if (!one("section")) return;
  const here = one("section").dataset.section;
  const html = await (await ask(location.pathname)).text();
  const ids = answers.filter((answer) => answer.section_key === here).map((answer) => answer.question_key);
  graft(html, [...ids, "progress", "map", "steps", "onward"]);
  arrange();
  turnTo(questions().find((article) => !article.hidden));
}

async function goOn(form) {
  const button = form.querySelector("[type=submit]");
  button.setAttribute("aria-busy", "true");
  try {
    const response = await ask(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (onwards(response)) location.assign(onwards(response));
    else refuse(await response.text());
  } catch {
    const ahead = document.querySelector("template.ahead");
    if (!ahead) return show("nothing-ahead");
    one("section").replaceWith(ahead.content);
    history.pushState(null, "", ahead.dataset.address);
    document.title = one("section").querySelector("h1").textContent;
    ahead.remove();
    for (const link of document.querySelectorAll("#map a")) {
      if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    begin();
    scrollTo(0, 0);
    document.querySelector("#section h1").focus({ preventScroll: true });
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// ---- what the learner does
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("article.question form, #onward")) return;
  event.preventDefault();
  if (form.id === "onward") goOn(form);
  else send(form);
});
document.addEventListener("change", ({ target }) => {
  const article = target.closest("article.question");
  if (!article || target.name !== "choice") return;
  const chosen = [...article.querySelectorAll("[name=choice]:checked")].map((box) => box.value);
  localStorage.setItem(chosenKey(article), JSON.stringify(chosen));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("#steps a, a.next, a.retry");
  if (!link) return;
  event.preventDefault();
  const all = questions(), here = all.findIndex((article) => !article.hidden);
  // What the server named may be answered by now, on this device.
  const open = [...all.slice(here + 1), ...all.slice(0, here)].find((article) => !done(article));
  go(link.matches(".next") ? open : named(link.hash));
});
addEventListener("hashchange", () => turnTo(named(location.hash)));
addEventListener("popstate", () => { // back to a section that is not on the page any more
  if (one("section") && !location.pathname.endsWith(`/${encodeURIComponent(one("section").dataset.section)}`)) location.reload();
});
one("undelivered").querySelector("button").addEventListener("click", () => {
  for (const [key, answer] of kept()) if (answer.refusal) forget(key);
  tell();
});
if (one("print")) {
  one("print").hidden = false;
  one("print").addEventListener("click", () => print());
}
addEventListener("online", deliver);
setInterval(deliver, AGAIN);
begin();
deliver();
