// Passkeys: asks the browser for one and sends its answer as an ordinary form. Without this file the buttons stay hidden
// and people sign in by password.
(() => {
  "use strict";

  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const described = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  async function options(area) {
    const body = new URLSearchParams({ _csrf: area.querySelector("[name=_csrf]").value });
    const answer = await fetch(area.dataset.options, { method: "POST", body, headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const given = await answer.json();
    given.challenge = bytes(given.challenge);
    return given;
  }

  async function created(given) {
    given.user.id = bytes(given.user.id);
    given.excludeCredentials = described(given.excludeCredentials);
    const made = await navigator.credentials.create({ publicKey: given });
    return {
      ...common(made),
      response: {
        clientDataJSON: text(made.response.clientDataJSON),
        attestationObject: text(made.response.attestationObject),
        transports: made.response.getTransports?.() ?? [],
      },
    };
  }

  async function used(given) {
    given.allowCredentials = described(given.allowCredentials);
    const found = await navigator.credentials.get({ publicKey: given });
    const { clientDataJSON, authenticatorData, signature, userHandle } = found.response;
    return {
      ...common(found),
      response: {
        clientDataJSON: text(clientDataJSON),
        authenticatorData: text(authenticatorData),
        signature: text(signature),
        ...(userHandle ? { userHandle: text(userHandle) } : {}),
      },
    };
  }

  function common(credential) {
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment,
      clientExtensionResults: {},
    };
  }

  async function press(area, button) {
    const said = area.querySelector("[role=status]");
    const form = area.querySelector("form");
    if (!form.reportValidity()) return;
    button.disabled = true;
    said.textContent = area.dataset.waiting;
    try {
      const given = await options(area);
      const answer = area.dataset.passkey === "create" ? await created(given) : await used(given);
      form.querySelector("[name=credential]").value = JSON.stringify(answer);
      form.requestSubmit();
    } catch {
      said.textContent = area.dataset.failed;
      button.disabled = false;
    }
  }

  for (const area of document.querySelectorAll("[data-passkey]")) {
    if (!window.PublicKeyCredential || !window.isSecureContext) continue;
    const button = area.querySelector("button[data-press]");
    area.hidden = false;
    button.addEventListener("click", () => press(area, button));
    area.querySelector("form").addEventListener("submit", (event) => {
      if (event.target.querySelector("[name=credential]").value) return;
      event.preventDefault(); // the Enter key in a field
      press(area, button);
    });
  }
})();
