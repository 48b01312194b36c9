// htmx turns what our server sends into elements; the browser asks for this permission once.
// Nothing here may make scripts: those come from files of ours alone.
if (window.trustedTypes) {
  window.trustedTypes.createPolicy("default", { createHTML: (html) => html });
}
