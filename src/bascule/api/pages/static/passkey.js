// Asks the browser for a passkey (WebAuthn Level 3, section 5.1.8) and sends its answer.
"use strict";

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

async function ask(form) {
  const options = JSON.parse(form.dataset.passkey);
  const allowed = (options.allowCredentials || []).map((each) => ({ ...each, id: bytes(each.id) }));
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: allowed };
  const found = await navigator.credentials.get({ publicKey });
  const { response } = found;
  form.elements.answer.value = JSON.stringify({
    id: found.id,
    rawId: base64url(found.rawId),
    type: found.type,
    clientExtensionResults: found.getClientExtensionResults(),
    authenticatorAttachment: found.authenticatorAttachment,
    response: {
      authenticatorData: base64url(response.authenticatorData),
      clientDataJSON: base64url(response.clientDataJSON),
      signature: base64url(response.signature),
      userHandle: response.userHandle ? base64url(response.userHandle) : null,
    },
  });
  form.submit();
}

if (window.PublicKeyCredential) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    if (form.parentElement.id === "others") form.parentElement.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // Whoever closes the browser's dialogue is where he was.
      ask(form).catch(() => undefined);
    });
  }
}
