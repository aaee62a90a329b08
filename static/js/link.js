// The push channel: a WebSocket that reconnects with back-off and jitter; polling while sockets fail.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 20_000;
const POLL_AFTER_FAILURES = 2;
const POLL_MS = 5_000;
const SILENT_MS = 45_000; // no frame for so long although the server speaks every 20 s: try anew
const SIGNED_OUT = 4401;

export function connect({ socket: path, poll, onState, onAlive, onPicture, onPatch }) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  let failures = 0;
  let version = null;
  let socket = null;
  let pollTimer = null;
  let retryTimer = null;
  let silence = null;
  let stopped = false;

  function open() {
    clearTimeout(retryTimer);
    version = null;
    socket = new WebSocket(url);
    socket.onmessage = ({ data }) => receive(JSON.parse(data));
    socket.onclose = ({ code }) => closed(code);
  }

  function receive(message) {
    failures = 0;
    stopPolling();
    watchSilence();
    if (message.type === "alive") {
      onAlive(message);
    } else if (message.type === "snapshot") {
      version = message.version;
      onPicture(message);
      onState("live");
    } else if (message.type === "delta" && version !== null) {
      if (message.version === version + 1) {
        version = message.version;
        onPatch(message);
      } else if (message.version > version) {
        version = null; // something was missed
        socket.send("snapshot");
      }
    }
  }

  function closed(code) {
    clearTimeout(silence);
    if (stopped) return;
    if (code === SIGNED_OUT) return signedOut();
    failures += 1;
    if (failures >= POLL_AFTER_FAILURES) startPolling();
    else onState("reconnecting");
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
    retryTimer = setTimeout(open, pause * (0.5 + Math.random()));
  }

  function watchSilence() {
    clearTimeout(silence);
    silence = setTimeout(() => socket.close(), SILENT_MS * (1 + Math.random()));
  }

  function startPolling() {
    if (pollTimer) return;
    onState("reconnecting");
    pollTimer = setInterval(pollOnce, POLL_MS);
    pollOnce();
  }

  function stopPolling() {
    clearInterval(pollTimer);
    pollTimer = null;
  }

  async function pollOnce() {
    try {
      const answer = await fetch(poll, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.status === 401 || answer.status === 404) return signedOut();
      if (!answer.ok) throw new Error(String(answer.status));
      const message = await answer.json();
      if (!pollTimer) return;
      onPicture(message);
      onState("polling");
    } catch {
      if (pollTimer) onState("lost");
    }
  }

  function signedOut() {
    stopped = true;
    stopPolling();
    clearTimeout(retryTimer);
    socket?.close();
    onState("signed-out");
  }

  addEventListener("online", () => { if (!stopped && socket.readyState === WebSocket.CLOSED) open(); });
  open();
}
