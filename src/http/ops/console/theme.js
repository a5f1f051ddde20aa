// Light or dark: as the system says, or as chosen here.

const NAME = "tidegate.theme"

const system = matchMedia("(prefers-color-scheme: dark)")

const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark"

/** Takes over what was chosen before, and lets `button` change it. */
export function wireTheme(button) {
  const chosen = localStorage.getItem(NAME)
  if (chosen) document.documentElement.dataset.theme = chosen
  const label = () => button.setAttribute("aria-label", isDark() ? "Use the light theme" : "Use the dark theme")
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark"
    document.documentElement.dataset.theme = theme
    localStorage.setItem(NAME, theme)
    label()
  })
  system.addEventListener("change", label)
  label()
}
