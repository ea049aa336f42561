// The rooms: the list of them at the side, the beginning of each, and the thread that opens beside the channel.
"use strict";

(() => {
  const local = window.localDiscord;
  const { el, say } = local;
  const SIGNS = { channel: "#", thread: "↳", private: "" };
  let shown = "";

  function address(id, beside = false) {
    return `/?${new URLSearchParams(beside ? { room: id, beside: "" } : { room: id })}${window.location.hash}`;
  }

  // ------------------------------------------------------------------ the list

  const seen = (id) => BigInt(sessionStorage.getItem(`seen ${id}`) || 0);
  const see = (room) => sessionStorage.setItem(`seen ${room.id}`, room.last);
  const opened = () => document.querySelector("#local-thread iframe")?.dataset.room;

  function entry(room, here) {
    const link = el("a", `local-room local-${room.kind}`, "", { href: address(room.id) });
    link.append(room.kind === "private" ? el("span", "local-face") : el("span", "local-sign", SIGNS[room.kind]));
    link.append(el("span", "local-name", room.name));
    if (room.id === here || room.id === opened()) {
      see(room);
      link.setAttribute("aria-current", "page");
    } else if (room.kind === "private" && BigInt(room.last) > seen(room.id)) {
      link.append(el("span", "local-unread", "•"));
    }
    link.addEventListener("click", (event) => {
      document.documentElement.classList.remove("local-drawn");
      const inChannel = local.snapshot().channel.guildId;
      if (room.kind === "thread" ? !inChannel : room.id !== here) return;
      event.preventDefault();
      if (room.kind === "thread") openThread(room.id);
    });
    return link;
  }

  function list({ local: world, channel }) {
    const state = JSON.stringify([world, channel.id, opened()]);
    if (state === shown) return;
    shown = state;
    const of = (...kinds) => world.rooms.filter((room) => kinds.includes(room.kind)).map((room) => entry(room, channel.id));
    const nav = document.getElementById("local-rooms");
    nav.replaceChildren(
      el("header", "local-server", world.title),
      el("h2", "", say("direct")), ...of("private"),
      el("h2", "", say("channels")), ...of("channel"), ...of("thread"),
      el("footer", "local-me", document.querySelector("#viewer-picker option")?.textContent || ""),
    );
    nav.lastChild.append(el("small", "", say("online")));
    const here = world.rooms.find((room) => room.id === channel.id);
    document.title = here?.kind === "channel" ? `#${here.name} | ${world.title}` : here?.name || world.title;
    begin(here, world);
  }

  // ------------------------------------------------------------------ how a room begins

  function begin(room, world) {
    if (local.beside || !room || document.getElementById("local-beginning")) return;
    const own = room.kind === "private";
    const beginning = el("section", "", "", { id: "local-beginning" });
    beginning.append(el("span", own ? "local-face" : "local-badge", own ? "" : SIGNS[room.kind]));
    beginning.append(el("h2", "", say(own ? "private" : "welcome", { name: room.name })));
    beginning.append(el("p", "", say(own ? "privateText" : "welcomeText")), el("p", "local-try", say("starters")));
    const starters = el("div", "local-starters");
    for (const question of local.questions) {
      starters.append(el("button", "", question, { type: "button", onclick: () => local.send(question) }));
    }
    beginning.append(starters);
    document.getElementById("channel-timeline").prepend(beginning);
  }

  // ------------------------------------------------------------------ the thread beside the channel

  function openThread(id) {
    closeThread();
    const pane = el("aside", "", "", { id: "local-thread" });
    const frame = el("iframe", "", "", { src: address(id, true), title: say("thread") });
    frame.dataset.room = id;
    frame.addEventListener("load", () => frame.focus());
    pane.append(frame);
    document.getElementById("preview-workspace").append(pane);
    list(local.snapshot());
  }

  function closeThread() {
    document.getElementById("local-thread")?.remove();
    if (local.snapshot()) list(local.snapshot());
  }

  // A thread has the id of the message that it stands under.
  function threadOf(target) {
    const summary = target.closest?.(".thread-summary");
    return summary && !local.beside ? summary.closest("[data-message-id]").dataset.messageId : null;
  }

  function makeThreadsButtons() {
    for (const summary of document.querySelectorAll(".thread-summary:not([role])")) {
      const [, name, count] = /^(.*) · (\d+) messages?$/.exec(summary.firstChild.nodeValue) || [null, summary.firstChild.nodeValue, "0"];
      summary.firstChild.replaceWith(
        el("span", "local-name", name), el("span", "local-open", say(count === "1" ? "one" : "many", { count })),
      );
      summary.setAttribute("role", "button");
      summary.title = say("thread");
      summary.tabIndex = 0;
    }
  }

  // ------------------------------------------------------------------

  function start() {
    const workspace = document.getElementById("preview-workspace");
    workspace.prepend(el("nav", "", "", { id: "local-rooms", ariaLabel: say("rooms") }));
    const header = document.querySelector(".channel-header");
    if (local.beside) {
      const hint = el("p", "", say("threadHint", { name: "Forward Pass" }), { id: "local-hint" });
      document.getElementById("channel-composer").after(hint);
      const close = { type: "button", ariaLabel: say("close"), title: say("close") };
      close.onclick = () => window.parent.postMessage("close thread", window.location.origin);
      header.append(el("button", "local-close", "×", close));
    } else {
      const draw = { type: "button", ariaLabel: say("rooms"), onclick: () => document.documentElement.classList.toggle("local-drawn") };
      header.prepend(el("button", "local-draw", "☰", draw));
    }
    document.getElementById("preview-stage").addEventListener("click", (event) => {
      if (!event.target.closest(".local-draw")) document.documentElement.classList.remove("local-drawn");
      const id = threadOf(event.target);
      if (id) openThread(id);
    });
    document.addEventListener("keydown", (event) => {
      const id = event.key === "Enter" && threadOf(event.target);
      if (id) openThread(id);
    });
    window.addEventListener("message", (event) => {
      if (event.origin === window.location.origin && event.data === "close thread") closeThread();
    });
    // simcord's words for the box are English, and take a thread for a channel.
    const box = document.getElementById("channel-composer-input");
    new MutationObserver(() => {
      const room = local.snapshot()?.channel;
      const sign = !room?.guildId ? "@" : local.beside ? "" : "#";
      const wanted = say("write", { room: `${sign}${room?.name || local.snapshot()?.local.title}` });
      if (room && box.placeholder && box.placeholder !== wanted) box.placeholder = wanted;
    }).observe(box, { attributeFilter: ["placeholder"] });
    const messages = document.getElementById("channel-message-list");
    new MutationObserver(makeThreadsButtons).observe(messages, { childList: true, subtree: true });
  }

  // A thread is read from its beginning; simcord begins at the end.
  let begun = !local.beside;
  function fromTheTop({ timeline }) {
    const app = document.getElementById("preview-app");
    if (begun || !timeline.length || app.ariaBusy !== "false") return;
    begun = true;
    document.getElementById("channel-timeline").scrollTop = 0;
  }

  document.addEventListener("DOMContentLoaded", start);
  local.listen((snapshot) => setTimeout(() => fromTheTop(snapshot), 0));
  local.listen((snapshot) => setTimeout(() => list(snapshot), 0)); // after simcord has shown it
})();
