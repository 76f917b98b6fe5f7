// A button whose request takes a while says so: <button data-busy="Trying the credentials…">.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !button.dataset.busy || event.defaultPrevented) return;
  button.dataset.words = button.textContent;
  button.textContent = button.dataset.busy;
  button.setAttribute("aria-busy", "true");
  document.getElementById("announce").textContent = button.dataset.busy;
});
// Back by the browser's own button: as it was.
addEventListener("pageshow", () => document.querySelectorAll("[data-words]").forEach((button) => { button.textContent = button.dataset.words; button.removeAttribute("aria-busy"); }));
