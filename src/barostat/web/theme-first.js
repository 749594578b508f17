// Runs before the first paint, so that nobody who chose dark is flashed at. `theme.js` does the rest.
{
  const chosen = localStorage.getItem("barostat.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
