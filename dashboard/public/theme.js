// Before anything is painted: a page that flashes white at night is no pleasure.
try {
  const theme = localStorage.getItem("hydrophone.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden here: the system's choice holds.
}
