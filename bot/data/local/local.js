// What the other scripts of the local Discord stand on. Runs before simcord's page does: that one asks the server for its room
// and its state through `fetch`, so here the room is named and what comes back is heard.
"use strict";

window.localDiscord = (() => {
  const WORDS = {
    "en-US": {
      failed: "That did not go through. Please try again.",
      lost: "The local Discord does not answer. Is forwardpass demo still running in the terminal?",
      ended: "This local Discord has ended. Start it again in the terminal: forwardpass demo",
      today: "Today at {time}",
      direct: "Direct messages",
      channels: "Text channels",
      rooms: "Channels and messages",
      welcome: "Welcome to #{name}!",
      welcomeText: "This is the real bot, answering from the model on this computer. Ask a trick question: under each answer stands a thread in which the model tells what went on inside it.",
      private: "Private messages with {name}",
      privateText: "Everything you write here is a question for the bot.",
      starters: "Try one:",
      thread: "Open thread",
      one: "1 message ›",
      many: "{count} messages ›",
      close: "Close thread",
      write: "Message {room}",
      threadHint: "Write @{name} or reply to a message to ask here.",
      menu: "Apps",
      online: "Online",
    },
    "zh-CN": {
      failed: "没有成功，请再试一次。",
      lost: "本地 Discord 没有回应。终端里的 forwardpass demo 还在运行吗？",
      ended: "这个本地 Discord 已经结束。请在终端重新启动：forwardpass demo",
      today: "今天 {time}",
      direct: "私信",
      channels: "文字频道",
      rooms: "频道与消息",
      welcome: "欢迎来到 #{name}！",
      welcomeText: "这是真正的机器人，由这台电脑上的模型作答。问一个刁钻的问题吧：每个回答下面都有一个子区，模型在里面讲述它内部发生了什么。",
      private: "与 {name} 的私信",
      privateText: "你在这里写的每句话都是给机器人的问题。",
      starters: "试一试：",
      thread: "打开子区",
      one: "1 条消息 ›",
      many: "{count} 条消息 ›",
      close: "关闭子区",
      write: "发消息到 {room}",
      threadHint: "在这里提问请写 @{name}，或回复一条消息。",
      menu: "应用",
      online: "在线",
    },
  };
  const QUESTIONS = {
    "en-US": ["How many eyes does my foot have?", "What color is the letter Monday?", "What is the capital of the Moon?"],
    "zh-CN": ["我的脚有几只眼睛？", "星期一是什么颜色的？", "月亮的首都是哪里？"],
  };
  const PATIENCE = 20_000; // milliseconds in which something is sent again by itself
  const SOON = 150;

  const query = new URLSearchParams(window.location.search);
  const beside = query.has("beside");
  const words = WORDS[document.documentElement.lang] || WORDS["en-US"];
  const listeners = [];
  let snapshot = null;

  const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

  function el(tag, className, text, properties = {}) {
    const element = Object.assign(document.createElement(tag), properties);
    if (className) element.className = className;
    if (text) element.textContent = text;
    return element;
  }

  // ------------------------------------------------------------------ what the server says

  const fetched = window.fetch.bind(window);
  window.fetch = async (address, options = {}) => {
    const path = String(address);
    const entering = path === "/api/pages" && options.method === "POST";
    const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const asked = entering ? `${path}?${new URLSearchParams({ room: query.get("room") || "", timezone })}` : address;
    let reply;
    try {
      reply = await fetched(asked, options);
    } catch (error) {
      if (error.name !== "AbortError") notice(say("lost"));
      throw error;
    }
    if (reply.ok && (entering || path === "/api/state")) reply.clone().json().then(heard, () => {});
    if (reply.status === 410 && snapshot) window.location.reload(); // it slept so long that its place was given away
    if (reply.status === 401) notice(say("ended"));
    return reply;
  };

  function heard(next) {
    snapshot = next;
    if (notice.shown === say("lost")) notice("");
    for (const listener of listeners) listener(next);
  }

  async function act(body) {
    const headers = { "Content-Type": "application/json", "X-Simcord-Context": snapshot.context.id };
    headers["X-Simcord-Capability"] = window.location.hash.slice(1);
    const reply = await fetched("/api/action", { method: "POST", headers, body: JSON.stringify(body), cache: "no-store" });
    if (!reply.ok) notice(say("failed"), 6000);
  }

  // ------------------------------------------------------------------ what a person reads

  let fading = null;
  function notice(text, milliseconds = 0) {
    let element = document.getElementById("local-notice");
    if (!element) {
      element = el("div", "", "", { id: "local-notice" });
      element.setAttribute("role", "alert");
      document.body.append(element);
    }
    clearTimeout(fading);
    notice.shown = element.textContent = text;
    element.hidden = !text;
    if (milliseconds) fading = setTimeout(() => notice(""), milliseconds);
  }

  function clock(time) {
    const when = new Date(time.dateTime);
    if (time.dataset.local || when.toDateString() !== new Date().toDateString()) return;
    const shown = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" }).format(when);
    time.dataset.local = "true";
    time.firstChild.nodeValue = say("today", { time: shown });
  }

  // ------------------------------------------------------------------ sending

  const form = () => document.getElementById("channel-composer");
  const box = () => form().querySelector("textarea");

  // simcord's page drops what is sent while it is busy with something else, and keeps the text. So it is sent again until it is gone.
  function persist(text, until = Date.now() + PATIENCE) {
    setTimeout(() => {
      if (box()?.value !== text) return setTimeout(toTheEnd, SOON);
      if (Date.now() > until) return notice(say("failed"), 6000);
      if (!window.simcordPreview.pendingAction) form().requestSubmit();
      else persist(text, until);
    }, SOON);
  }

  function toTheEnd() {
    const timeline = document.getElementById("channel-timeline");
    timeline.scrollTop = timeline.scrollHeight;
  }

  function send(text) {
    box().value = text;
    box().dispatchEvent(new Event("input", { bubbles: true }));
    form().requestSubmit();
  }

  // A choice that is made stays open in simcord's form, and Enter would make it again and again. The second Enter sends.
  function sendChosen(event) {
    const field = event.target;
    if (!field.matches?.(".command-option-input[role=combobox]")) return;
    if (event.key.startsWith("Arrow")) field.dataset.moved = "true";
    const choices = [...document.querySelectorAll("[role=option]")].map((choice) => choice.textContent.trim());
    if (event.key !== "Enter" || event.isComposing || field.dataset.moved || !choices.includes(field.value)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    form().requestSubmit();
  }

  function start() {
    document.addEventListener("keydown", sendChosen, true);
    form().addEventListener("submit", () => {
      const text = box()?.value;
      if (text?.trim()) persist(text);
    }, true);
    const times = () => document.querySelectorAll("time.message-time").forEach(clock);
    new MutationObserver(times).observe(document.getElementById("channel-message-list"), { childList: true, subtree: true });
    const status = document.getElementById("action-status");
    new MutationObserver(() => {
      if (status.textContent === "Action was not completed.") notice(say("failed"), 6000);
    }).observe(status, { childList: true, characterData: true, subtree: true });
  }

  document.documentElement.classList.toggle("beside", beside);
  document.addEventListener("DOMContentLoaded", start);
  return {
    act, beside, el, say, send, questions: QUESTIONS[document.documentElement.lang] || QUESTIONS["en-US"],
    listen: (listener) => listeners.push(listener),
    snapshot: () => snapshot,
  };
})();
