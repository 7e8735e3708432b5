// A slider and the field beside it say the same length of time: data-span-of="FIELD's id" on the
// slider, data-span-slider="SLIDER's id" on the field. The field alone is sent.
"use strict";
{
  const clock = (minutes) => `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;

  // As portal/spans.py reads it; undefined for what is no length of time.
  function minutesOf(text) {
    const word = text.trim().toLowerCase().replace(/\s+/g, " ");
    const match =
      /^(\d{1,3}):([0-5]\d)$/.exec(word) ||
      /^(\d{1,3}) ?h ?([0-5]?\d)$/.exec(word) ||
      /^(?:(\d{1,3}) ?h(?:ours?|eures?)?)? ?(?:(\d{1,5}) ?m(?:in(?:utes?)?)?)?$/.exec(word);
    const minutes = match ? Number(match[1] || 0) * 60 + Number(match[2] || 0) : 0;
    return minutes || undefined;
  }

  document.addEventListener("input", (event) => {
    const { spanOf, spanSlider } = event.target.dataset;
    if (spanOf) {
      const text = clock(Number(event.target.value));
      const field = document.getElementById(spanOf);
      if (field) field.value = text;
      event.target.setAttribute("aria-valuetext", text);
    } else if (spanSlider) {
      const slider = document.getElementById(spanSlider);
      const minutes = minutesOf(event.target.value);
      if (slider && minutes) {
        slider.value = minutes;
        slider.setAttribute("aria-valuetext", event.target.value);
      }
    }
  });
}
