// What every page has: keyboard, theme, local times, rows that open. No dependency, no build.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

function toggleTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  document.cookie = `kibitz_theme=${next}; path=/; max-age=31536000; samesite=lax`;
}

export function localTimes(root = document) {
  for (const time of $$("time[datetime]", root)) {
    const when = new Date(time.dateTime);
    if (!Number.isNaN(when.valueOf())) time.title = when.toLocaleString();
  }
}

const rows = () => $$("[data-row]");
function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.getAttribute("aria-selected") === "true");
  const next = Math.min(Math.max(at + step, 0), all.length - 1);
  all.forEach((row, index) => row.setAttribute("aria-selected", String(index === next)));
  all[next].scrollIntoView({ block: "nearest" });
}
function openRow() {
  const row = rows().find((one) => one.getAttribute("aria-selected") === "true");
  if (row) $("a", row)?.click();
}

const actions = {
  theme: toggleTheme,
  keys: () => $("#keys").showModal(),
};

let goingTo = false;
document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select, dialog");
  if (event.key === "Escape" && field) return field.blur();
  if (field || event.ctrlKey || event.metaKey || event.altKey) return;
  if (goingTo) {
    goingTo = false;
    const link = $(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  const keys = {
    j: () => move(1), k: () => move(-1), g: () => { goingTo = true; }, t: toggleTheme,
    "/": () => $("[data-filter]")?.focus(), "?": actions.keys, u: () => $("[data-up]")?.click(),
    ".": () => $("[data-live]")?.click(),
    Enter: () => { if (!event.target.closest("a, button, summary")) openRow(); },
  };
  if (keys[event.key]) { if (event.key !== "Enter") event.preventDefault(); keys[event.key](); }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button) return actions[button.dataset.action]?.();
  const row = event.target.closest("tr.open");
  if (row && !event.target.closest("a, button, input, summary") && !getSelection()?.toString()) $("a", row)?.click();
});

localTimes();
