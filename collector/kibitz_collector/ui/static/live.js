// The live list: new Logs appear on top as they are stored.
const button = document.querySelector("[data-live]");
const body = document.querySelector("#rows");
const MOST_ROWS = 300;
let source = null;

function show(event) {
  const { html, id } = JSON.parse(event.data);
  if (!body) return location.reload();
  document.querySelector(`[data-id="${CSS.escape(id)}"]`)?.remove();
  const holder = document.createElement("tbody");
  holder.innerHTML = html;
  const row = holder.firstElementChild;
  row.classList.add("new");
  body.prepend(row);
  while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
}

function toggle() {
  if (source) {
    source.close();
    source = null;
  } else {
    const query = new URLSearchParams(location.search);
    query.delete("cursor");
    query.set("after", button.dataset.after);
    source = new EventSource(`/logs/live?${query}`);
    source.addEventListener("log", show);
  }
  button.setAttribute("aria-pressed", String(Boolean(source)));
  button.classList.toggle("primary", Boolean(source));
}

button?.addEventListener("click", toggle);
