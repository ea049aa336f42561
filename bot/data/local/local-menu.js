// The menu of a message: the commands that the bot has for it, as under "Apps" in Discord.
"use strict";

(() => {
  const local = window.localDiscord;
  const { el, say } = local;
  const ID = "local-menu";

  function close() {
    document.getElementById(ID)?.remove();
  }

  function open(message, x, y) {
    close();
    const menu = el("div", "", "", { id: ID });
    menu.setAttribute("role", "menu");
    menu.append(el("h3", "", say("menu")));
    for (const name of local.snapshot().local.menu) {
      const item = el("button", "", name, { type: "button" });
      item.setAttribute("role", "menuitem");
      item.addEventListener("click", () => {
        close();
        local.act({ kind: "message_menu", target_id: message.dataset.messageId, name });
      });
      menu.append(item);
    }
    document.body.append(menu);
    const { width, height } = menu.getBoundingClientRect();
    menu.style.left = `${Math.max(8, Math.min(x, window.innerWidth - width - 8))}px`;
    menu.style.top = `${Math.max(8, Math.min(y, window.innerHeight - height - 8))}px`;
    menu.querySelector("button")?.focus();
  }

  function addButtons() {
    for (const toolbar of document.querySelectorAll(".message-context-actions:not(:has(.local-apps))")) {
      const button = el("button", "message-action-button local-apps", "⋯", { type: "button", title: say("menu"), ariaLabel: say("menu") });
      button.addEventListener("click", (event) => {
        const { left, bottom } = button.getBoundingClientRect();
        event.stopPropagation();
        open(button.closest("[data-message-id]"), left, bottom + 4);
      });
      toolbar.append(button);
    }
  }

  function start() {
    const messages = document.getElementById("channel-message-list");
    new MutationObserver(addButtons).observe(messages, { childList: true, subtree: true });
    // A right click, and a long press on a phone. Links and pictures keep the browser's own menu.
    messages.addEventListener("contextmenu", (event) => {
      const message = event.target.closest("[data-message-id]");
      if (!message || event.target.closest("a, img, textarea, input") || !local.snapshot()) return;
      event.preventDefault();
      open(message, event.clientX, event.clientY);
    });
    document.addEventListener("pointerdown", (event) => { if (!event.target.closest(`#${ID}`)) close(); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  }

  document.addEventListener("DOMContentLoaded", start);
})();
