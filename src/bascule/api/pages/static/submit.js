// Sends the form that carries the answer back to the program; without it there is the button.
document.querySelector("form[data-submit]").submit();
