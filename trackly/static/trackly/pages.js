// What the pages do beyond links and forms: copying, the theme, the menu, live parts that rest while nobody looks, charts.
const announce = (words) => { const place = document.getElementById("announce"); if (place) place.textContent = words; };

// --- copying
const showCopyButtons = (root) => root.querySelectorAll("[data-copy][hidden]").forEach((button) => { button.hidden = false; });
const taken = (button) => {
  const words = button.querySelector("span");
  const before = words.textContent;
  words.textContent = "Copied";
  announce(`${button.dataset.what} copied`);
  setTimeout(() => { words.textContent = before; }, 1500);
};
const copyBySelection = (text) => {
  // Without https a page may not write to the clipboard by itself.
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
};
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(button.dataset.copy);
    else if (!copyBySelection(button.dataset.copy)) throw new Error("refused");
    taken(button);
  } catch {
    announce("This browser does not let us copy. Select the text and copy it.");
    getSelection().selectAllChildren(button.parentElement.querySelector(".tk-copy-text"));
  }
});

// --- theme: auto, light, dark, in turn
const themes = ["auto", "light", "dark"];
const themeButton = document.querySelector("[data-theme-switch]");
if (themeButton) {
  const tell = () => { themeButton.querySelector("[data-theme-name]").textContent = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" }[tracklyTheme.chosen()]; };
  themeButton.hidden = false;
  tell();
  themeButton.addEventListener("click", () => { tracklyTheme.choose(themes[(themes.indexOf(tracklyTheme.chosen()) + 1) % themes.length]); tell(); });
}

// --- the menu stands open where there is room for it
const menu = document.querySelector("[data-menu]");
if (menu) {
  const wide = matchMedia("(min-width: 992px)");
  const fit = () => { menu.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
}

// --- filters stand open where there is room for them; on a phone they are as they were sent
const roomy = matchMedia("(min-width: 768px)");
const unfold = () => { if (roomy.matches) document.querySelectorAll("details[data-wide-open]").forEach((fold) => { fold.open = true; }); };
roomy.addEventListener("change", unfold);
unfold();

// --- live parts: not asked for while the page is hidden, nor while something in them is being used
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.detail.elt;
  if (!part.hasAttribute("data-live")) return;
  const used = part.contains(document.activeElement) && part !== document.activeElement;
  const selected = !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
  if (document.hidden || used || selected) event.preventDefault();
});
document.addEventListener("htmx:responseError", () => announce("The page could not be refreshed. Reload it."));
document.addEventListener("htmx:afterSwap", (event) => { showCopyButtons(event.detail.elt.parentElement || document); drawCharts(event.detail.elt.parentElement || document); });

// --- what is asked before something that cannot be undone
document.addEventListener("submit", (event) => {
  const words = (event.submitter && event.submitter.dataset.sure) || event.target.dataset.sure;
  if (words && !confirm(words)) { event.preventDefault(); return; }
  // The second click does nothing.
  if (event.target.method === "post") {
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "1";
    setTimeout(() => { delete event.target.dataset.sent; }, 5000);
  }
});
addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach((form) => { delete form.dataset.sent; }));

// --- a button whose request takes a while says so: <button data-busy="Trying the credentials…">
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !button.dataset.busy || event.defaultPrevented) return;
  button.dataset.words = button.textContent;
  button.textContent = button.dataset.busy;
  button.setAttribute("aria-busy", "true");
  announce(button.dataset.busy);
});
// Back by the browser's own button: as it was.
addEventListener("pageshow", () => document.querySelectorAll("[data-words]").forEach((button) => { button.textContent = button.dataset.words; button.removeAttribute("aria-busy"); }));

// --- charts: <canvas data-chart="ID"> draws {labels, series: [{name, values, tone}], kind, unit} of the json_script with that id
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const drawn = new Map();
function drawCharts(root) {
  if (typeof Chart === "undefined") return;
  root.querySelectorAll("canvas[data-chart]").forEach((canvas) => {
    if (drawn.has(canvas)) drawn.get(canvas).destroy();
    const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
    const text = colour("--tk-dim"), line = colour("--tk-line");
    drawn.set(canvas, new Chart(canvas, {
      type: data.kind || "line",
      data: { labels: data.labels, datasets: data.series.map((series) => ({ label: series.name, data: series.values, borderColor: colour(`--tk-chart-${series.tone}`), backgroundColor: colour(`--tk-chart-${series.tone}`), borderWidth: 2, pointRadius: 0, pointHitRadius: 12, tension: 0.25 })) },
      options: {
        responsive: true, maintainAspectRatio: false, animation: false, interaction: { mode: "index", intersect: false },
        plugins: { legend: { labels: { color: text, boxWidth: 12 }, position: "bottom" } },
        scales: { x: { ticks: { color: text, maxRotation: 0, autoSkipPadding: 16 }, grid: { display: false } }, y: { beginAtZero: true, ticks: { color: text, precision: data.unit ? undefined : 0 }, grid: { color: line } } },
      },
    }));
  });
}
document.addEventListener("themed", () => drawCharts(document));
showCopyButtons(document);
addEventListener("DOMContentLoaded", () => drawCharts(document));
drawCharts(document);
