// Cockpit's shell lets the visitor choose light or dark. It keeps the choice in
// "shell:style" and tells pages that are open by an event.

const system = window.matchMedia("(prefers-color-scheme: dark)");

function apply(chosen) {
    const style = chosen ?? localStorage.getItem("shell:style") ?? "auto";
    const dark = style === "dark" || (style === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
}

window.addEventListener("storage", event => {
    if (event.key === "shell:style")
        apply();
});
window.addEventListener("cockpit-style", event => apply(event.detail?.style));
system.addEventListener("change", () => apply());
apply();
