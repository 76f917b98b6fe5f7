// Light or dark, before anything is drawn: as this browser was told, else as its system is.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } };
  const apply = () => {
    const name = chosen();
    document.documentElement.dataset.bsTheme = name === "auto" ? (system.matches ? "dark" : "light") : name;
    document.documentElement.dataset.theme = name;
    document.dispatchEvent(new Event("themed"));
  };
  system.addEventListener("change", apply);
  window.tracklyTheme = { chosen, choose(name) { try { localStorage.setItem("theme", name); } catch { /* not kept, then */ } apply(); } };
  apply();
})();
