// Passkeys in forms (WebAuthn Level 3, sections 5.1.3 and 5.1.8): asks the browser for one when
// a form is sent that needs it, puts the answer into the form, and sends it then.
"use strict";

(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const base64url = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");
  const known = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

  const envelope = (found, response) =>
    JSON.stringify({
      id: found.id,
      rawId: base64url(found.rawId),
      type: found.type,
      clientExtensionResults: found.getClientExtensionResults(),
      authenticatorAttachment: found.authenticatorAttachment,
      response,
    });

  async function get(options) {
    const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) };
    const found = await navigator.credentials.get({ publicKey });
    const { authenticatorData, clientDataJSON, signature, userHandle } = found.response;
    return envelope(found, {
      authenticatorData: base64url(authenticatorData),
      clientDataJSON: base64url(clientDataJSON),
      signature: base64url(signature),
      userHandle: userHandle ? base64url(userHandle) : null,
    });
  }

  async function create(options) {
    const publicKey = {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: known(options.excludeCredentials),
    };
    const found = await navigator.credentials.create({ publicKey });
    const { response } = found;
    return envelope(found, {
      attestationObject: base64url(response.attestationObject),
      clientDataJSON: base64url(response.clientDataJSON),
      transports: response.getTransports ? response.getTransports() : [],
    });
  }

  // What this form has to ask for before it is sent: a field to fill and how; null: nothing.
  function wanted(form) {
    if (form.dataset.passkeyCreate) {
      return { field: form.elements.answer, ask: () => create(JSON.parse(form.dataset.passkeyCreate)) };
    }
    const proof = form.querySelector("[data-passkey-get]");
    if (!proof || new FormData(form).get("proof") !== "passkey") return null;
    return { field: form.elements.proof_answer, ask: () => get(JSON.parse(proof.dataset.passkeyGet)) };
  }

  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      const need = window.PublicKeyCredential ? wanted(form) : null;
      if (!need || need.field.value) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      const problem = form.parentElement.querySelector("[data-passkey-problem]");
      if (problem) problem.hidden = true;
      need.ask().then(
        (answer) => {
          need.field.value = answer;
          form.requestSubmit();
        },
        () => {
          if (problem) problem.hidden = false;
        },
      );
    },
    true,
  );
})();
