/* Keeps the page as the server has it, and tells the server which button was pressed. What it puts in is rendered and escaped there. */
"use strict";

const element = (id) => document.getElementById(id);
const MOST_LINES = 120;

/* ------------------------------------------------------------------ what the server sends */

/* What the page knows and the server does not: what is new here, and which group of switches stands open. */
const OWN = new Set(["data-new", "open"]);

function update(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !OWN.has(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  updateChildren(old, fresh);
}

/* Elements with an id stay the same elements, so that focus, scrolling and screen readers notice only what is new. */
function updateChildren(place, fresh) {
  const named = new Map([...place.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = place.firstChild;
  for (const node of [...fresh.childNodes]) {
    const alike = at && !at.id && !node.id && at.nodeName === node.nodeName ? at : null;
    const same = node.id ? named.get(node.id) : alike;
    if (!same) {
      place.insertBefore(node, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else place.insertBefore(same, at);
    if (!same.isEqualNode(node)) update(same, node);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function updateItems(place, fresh) {
  for (const item of [...fresh.children]) {
    const same = element(item.id);
    if (same) update(same, item);
    else place.append(item);
  }
  while (place.children.length > MOST_LINES) place.firstElementChild.remove();
}

/* What was never here before is marked as new, except what a page finds when it is opened. The mark outlives updates. */
const met = new Set();
const settled = new Set();

function meetSteps(place) {
  for (const step of place.querySelectorAll(".steps > li")) {
    if (settled.has(place.id) && !met.has(step.id)) step.dataset.new = "";
    met.add(step.id);
  }
  settled.add(place.id);
}

const CONTROLS = "button, input, select, textarea, a[href]";

/* A control that was moved keeps the focus. Where it is gone, the one that stands there now has it, or else the phone's text box. */
function keepFocus(place, control, index) {
  if (index < 0 || place.contains(document.activeElement)) return;
  const left = [...place.querySelectorAll(CONTROLS)];
  const next = left.find((each) => each === control) ?? left[Math.min(index, left.length - 1)] ?? place.closest(".station")?.querySelector("textarea");
  next?.focus({ preventScroll: true });
}

function put({ target, html, whole }) {
  const place = element(target);
  if (!place) return;
  const control = document.activeElement;
  const index = [...place.querySelectorAll(CONTROLS)].indexOf(control);
  const made = document.createElement("template");
  made.innerHTML = html;
  const scroll = place.closest("[data-scroll]");
  const isAtEnd = scroll && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  (whole ? updateChildren : updateItems)(place, made.content);
  meetSteps(place);
  keepFocus(place, control, index);
  if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  if (target === "switches-list") showSwitches();
}

/* As the server has them, whatever was clicked meanwhile. */
function showSwitches() {
  for (const each of document.querySelectorAll("[data-switch]")) {
    if (each.type === "checkbox") each.checked = each.defaultChecked;
    else each.value = [...each.options].find((option) => option.defaultSelected)?.value ?? "";
  }
  countFaults();
}

function countFaults() {
  const on = [...document.querySelectorAll("[data-switch]")].filter((each) => (each.type === "checkbox" ? each.checked : each.value));
  const count = element("fault-count");
  count.textContent = String(on.length);
  count.hidden = on.length === 0;
}

let source = null;

/* A page that nobody looks at asks for nothing. */
function follow() {
  if (document.hidden || source) return;
  source = new EventSource(document.body.dataset.live);
  source.onopen = () => lose("");
  source.onmessage = (message) => put(JSON.parse(message.data));
  source.onerror = () => {
    lose("The simulator does not answer; trying again …");
    if (source && source.readyState === EventSource.CLOSED) {
      leave();
      setTimeout(follow, 1000);
    }
  };
}

function leave() {
  if (source) source.close();
  source = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
window.addEventListener("pageshow", follow);
window.addEventListener("pagehide", leave);

/* ------------------------------------------------------------------ what a person does */

let silence;
let lost = "";

/* What holds until the simulator is back; a hint stands at each text that could not be sent until then. */
function lose(sentence) {
  lost = sentence;
  tell(sentence);
  if (!lost) for (const hint of document.querySelectorAll(".hint")) hint.hidden = true;
}

function tell(sentence, seconds) {
  const toast = element("toast");
  clearTimeout(silence);
  toast.textContent = sentence;
  toast.hidden = !sentence;
  if (seconds) silence = setTimeout(() => tell(lost), seconds * 1000);
}

async function post(path, body) {
  let response;
  try {
    response = await fetch(`/phone/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Requested-With": "phone" },
      body: JSON.stringify(body),
    });
  } catch {
    tell("The simulator does not answer.", 6);
    return null;
  }
  if (response.ok) return true;
  const told = await response.json().catch(() => ({}));
  tell(told.trouble || told.message || `The simulator refused it (${response.status}).`, 10);
  return false;
}

/* What is written on one phone goes out in its order; a webhook that hangs holds the next message up for a moment only. */
const TURN_MS = 1000;
const turns = new WeakMap();

function inTurn(form, work) {
  const before = turns.get(form) ?? Promise.resolve();
  const done = before.then(work);
  turns.set(form, before.then(() => Promise.race([done, new Promise((go) => setTimeout(go, TURN_MS))])));
  return done;
}

async function pressed(form, press) {
  const field = form.elements.text;
  const text = field.value;
  const takesText = press !== "voice" && press !== "location";
  if (press === "text" && !text.trim()) return;
  const hint = form.parentElement.querySelector(".hint");
  field.focus({ preventScroll: true });
  if (lost) {
    hint.hidden = false;
    return;
  }
  if (takesText) field.value = "";
  const { contact, name } = form.dataset;
  const isSent = await inTurn(form, () => post("messages", { contact, name, press, text: takesText ? text : "" }));
  hint.hidden = isSent !== null;
  if (!isSent && takesText) field.value = [text, field.value].filter(Boolean).join("\n");
}

/* A button that is disabled would lose the focus. */
async function busy(button, work) {
  if (button.hasAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  await work();
  button.removeAttribute("aria-busy");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches(".composer")) {
    event.preventDefault();
    pressed(form, event.submitter ? event.submitter.value : "text");
  } else if (form.matches(".answer")) {
    event.preventDefault();
    const text = form.elements.text.value;
    if (text.trim())
      post("acts", { contact: form.dataset.contact, act: form.dataset.act, text }).then((isDone) => {
        if (isDone) form.elements.text.value = "";
      });
  }
});

document.addEventListener("keydown", (event) => {
  const isSend = event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches(".composer textarea");
  if (!isSend) return;
  event.preventDefault();
  event.target.form.requestSubmit(event.target.form.querySelector(".send"));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { minutes, act, contact, post: path, turn, opens, closes } = button.dataset;
  if (opens) element(opens).showModal();
  else if (closes) element(closes).close();
  else if (minutes) busy(button, () => post("clock", { minutes: Number(minutes) }));
  else if (act) busy(button, () => post("acts", { contact, act }));
  else if (path === "switches/off") busy(button, () => post(path, {}));
  else if (path === "receipts") post("receipts", { contact, has_read_receipts: turn === "true" });
});

document.addEventListener("change", async (event) => {
  const control = event.target;
  const name = control.dataset.switch;
  if (!name) return;
  const isBox = control.type === "checkbox";
  const to = isBox ? (control.checked ? 0 : null) : control.value === "" ? null : Number(control.value);
  countFaults();
  if (!(await post("switches", { name, to })) && isBox) control.checked = !control.checked;
});

/* A press beside a panel closes it, as Escape does. */
for (const panel of document.querySelectorAll("dialog")) {
  panel.addEventListener("pointerdown", (event) => {
    if (event.target === panel && event.clientX < panel.getBoundingClientRect().left) panel.close();
  });
}

/* Whoever added a contact goes on at their phone; whoever removed one, at the phone that stands there now. */
const GO_ON = "go on";
const LAST = 99;
document.addEventListener("click", (event) => {
  const station = event.target.closest("[data-removes]")?.closest(".station");
  if (station) sessionStorage.setItem(GO_ON, [...document.querySelectorAll(".station")].indexOf(station));
  else if (event.target.closest(".others a")) sessionStorage.setItem(GO_ON, LAST);
});
element("add").addEventListener("submit", () => sessionStorage.setItem(GO_ON, LAST));

function goOn() {
  const index = sessionStorage.getItem(GO_ON);
  sessionStorage.removeItem(GO_ON);
  if (index === null) return;
  const composers = [...document.querySelectorAll(".composer textarea")];
  composers[Math.min(Number(index), composers.length - 1)]?.focus();
}

/* What was being written outlives the addition of a contact. */
const DRAFTS = "drafts";
window.addEventListener("pagehide", () => {
  const drafts = [...document.querySelectorAll(".composer")].map((form) => [form.dataset.contact, form.elements.text.value]);
  sessionStorage.setItem(DRAFTS, JSON.stringify(Object.fromEntries(drafts)));
});
const drafts = JSON.parse(sessionStorage.getItem(DRAFTS) || "{}");
for (const form of document.querySelectorAll(".composer")) form.elements.text.value = drafts[form.dataset.contact] || "";
showSwitches();
goOn();
