// A field for a moment: shown in the viewer's zone, sent as UTC. Without this it is UTC throughout.
"use strict";

(() => {
  const two = (number) => String(number).padStart(2, "0");

  function local(instant) {
    const at = new Date(instant);
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
  }

  function show() {
    for (const field of document.querySelectorAll("input[data-moment]")) {
      if (field.dataset.shown === field.dataset.moment) continue;
      field.max = local(field.dataset.latest);
      field.value = local(field.dataset.moment);
      field.dataset.shown = field.dataset.moment;
    }
  }

  document.addEventListener("formdata", (event) => {
    for (const field of event.target.querySelectorAll("input[data-moment]")) {
      const at = new Date(field.value);
      if (!Number.isNaN(at.getTime())) event.formData.set(field.name, at.toISOString());
    }
  });
  document.addEventListener("bascule:shown", show);
  show();
})();
