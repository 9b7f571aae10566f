// Passkeys: forms that need one ask the browser for it, put what it signed into their own fields, and are sent.
// Refuses to do anything by itself: each ceremony begins with a click. Without this script the buttons stay off.
(function () {
  "use strict";

  function bytes(text) {
    var plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, function (letter) { return letter.charCodeAt(0); });
  }

  function text(buffer) {
    var plain = "";
    new Uint8Array(buffer).forEach(function (byte) { plain += String.fromCharCode(byte); });
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function known(form) {
    return Array.from(form.querySelectorAll("[data-credential]")).map(function (each) {
      return { type: "public-key", id: bytes(each.dataset.credential) };
    });
  }

  function ask(form) {
    var d = form.dataset;
    if (d.passkey === "create") {
      return navigator.credentials.create({ publicKey: {
        challenge: bytes(d.challenge), rp: { id: d.rp, name: d.fleet },
        user: { id: new TextEncoder().encode(d.userId), name: d.user, displayName: d.user },
        pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -8 }],
        excludeCredentials: known(form), attestation: "none",
        authenticatorSelection: { userVerification: "required", residentKey: "discouraged" }
      } });
    }
    return navigator.credentials.get({ publicKey: {
      challenge: bytes(d.challenge), rpId: d.rp, allowCredentials: known(form), userVerification: "required"
    } });
  }

  function fill(form, name, buffer) {
    var field = form.elements.namedItem(name);
    if (field && buffer) field.value = text(buffer);
  }

  function prepare(form) {
    if (form.dataset.ready) return;
    form.dataset.ready = "yes";
    var button = form.querySelector("button"), says = form.querySelector("[data-says]");
    if (!window.PublicKeyCredential) {
      if (says) says.textContent = "This browser offers no passkeys on this page.";
      return;
    }
    button.disabled = false;
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      button.disabled = true;
      if (says) says.textContent = "Waiting for the passkey.";
      ask(form).then(function (answer) {
        fill(form, "credential", answer.rawId);
        fill(form, "client_data", answer.response.clientDataJSON);
        fill(form, "attestation", answer.response.attestationObject);
        fill(form, "authenticator_data", answer.response.authenticatorData);
        fill(form, "signature", answer.response.signature);
        form.submit();
      }).catch(function (error) {
        button.disabled = false;
        if (says) says.textContent = "Not done: " + error.message;
      });
    });
  }

  function all() { document.querySelectorAll("form[data-passkey]").forEach(prepare); }
  all();
  // A page that follows the fleet may get its form later.
  document.addEventListener("htmx:afterSettle", all);
})();
