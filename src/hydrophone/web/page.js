// Lists whales as the alert websocket says them. Text is only ever set with textContent.
const MAX_ROWS = 200; // chosen: more than anybody scrolls
const MAX_RETRY_MS = 30_000;
const GOOD_NEWS_MS = 15_000; // chosen: long enough to be read, too short to be in the way
const SIGHTINGS = {
  late: "heard late: it was announced while we were not listening",
  mined: "seen only when it was mined: nobody announced it to us",
};
const CHANGES = {
  fee_bump: "same payment, higher fee",
  other_amount: "same payee, another amount",
  other_payee: "pays somebody else: a double spend",
  cancelled: "taken back by its sender",
};

const whales = document.getElementById("whales");
const rows = new Map(); // prediction id -> row, oldest first
const btc = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const LISTENING = document.getElementById("empty").textContent;
let missed = 0;
let wasAway = false; // something has to be said when all is well again
let goodNews;

function cell(row, name, text, kind = "") {
  const found = row.querySelector(`.${name}`) ?? row.insertCell();
  found.className = `${name} ${kind}`;
  found.textContent = text;
  return found;
}

function showWhale(whale) {
  let row = rows.get(whale.prediction_id);
  if (row === undefined) {
    row = whales.insertRow(0);
    row.classList.add("new");
    rows.set(whale.prediction_id, row);
  }
  row.dataset.flow = whale.flow_type;
  cell(row, "time", new Date(whale.detection_timestamp).toLocaleTimeString());
  const subtype = whale.flow_subtype ? ` (${whale.flow_subtype.replaceAll("_", " ")})` : "";
  cell(row, "flow", whale.flow_type + subtype).title = whale.flow_reason ?? "";
  const text = cell(row, "text", whale.text);
  const txid = document.createElement(/^https?:\/\//.test(whale.explorer_url ?? "") ? "a" : "span");
  txid.className = "txid";
  txid.textContent = `${whale.transaction_id.slice(0, 16)}\u2026`;
  txid.title = whale.transaction_id;
  const sighting = SIGHTINGS[whale.sighting];
  if (sighting) text.append(mark(whale.sighting === "mined" ? "seen when mined" : "late", sighting));
  if (txid.tagName === "A") {
    txid.href = whale.explorer_url;
    txid.rel = "noopener noreferrer";
  }
  text.append(txid);
  cell(row, "moved", btc.format(whale.moved_btc), "number");
  cell(row, "gross", btc.format(whale.btc_value), "number");
  cell(row, "rate", whale.fee_rate === null ? "?" : whale.fee_rate.toFixed(1), "number");
  const urgency = cell(row, "urgency", whale.urgency_score === null ? "unknown" : "");
  if (whale.urgency_score !== null) {
    const meter = document.createElement("meter");
    meter.value = whale.urgency_score;
    meter.title = meter.textContent = whale.urgency_score.toFixed(2);
    urgency.append(meter);
  }
  const block = whale.predicted_confirmation_block;
  const raised = whale.was_modified ? " (fee raised)" : "";
  showStatus(row, "pending", `pending${raised}${block === null ? "" : `, likely by ${block}`}`);
  document.getElementById("empty").hidden = true;
  if (whale.simulated) document.getElementById("simulated").hidden = false;
  if (rows.size > MAX_ROWS) {
    const [oldest, gone] = rows.entries().next().value;
    rows.delete(oldest);
    gone.remove();
  }
}

function mark(text, title) {
  const found = document.createElement("span");
  found.className = "mark";
  found.textContent = text;
  found.title = title;
  return found;
}

function showStatus(row, state, text, title = "") {
  row.dataset.status = state;
  cell(row, "status", text).title = title;
}

function showUpdate(update) {
  const row = rows.get(update.prediction_id);
  if (row === undefined) return;
  if (update.amendment) {
    const { status } = row.dataset;
    const text = row.querySelector(".status").textContent;
    showWhale(update.amendment);
    showStatus(row, status, text);
    row.querySelector(".flow").title = `corrected: ${update.reason}`;
    row.querySelector(".flow").append(" \u270e"); // a pencil: it read differently at first
  } else if (update.new_status === "confirmed") {
    showStatus(row, "confirmed", `confirmed in ${update.confirmation_block ?? "a block"}`);
  } else if (update.new_status === "reorged") {
    showStatus(row, "pending", "pending again (reorg)");
  } else if (update.new_status === "returned") {
    showStatus(row, "pending", "pending again (it came back)", update.reason ?? "");
  } else {
    const text = update.new_status.replaceAll("_", " ");
    const change = CHANGES[update.change] ? ` \u2013 ${CHANGES[update.change]}` : "";
    showStatus(row, update.new_status, text + change, update.reason ?? "");
  }
}

function showConnection(state, text) {
  const line = document.getElementById("connection");
  line.dataset.state = state;
  line.textContent = missed ? `${text} \u2013 ${missed} messages missed` : text;
}

// What must not be overlooked: that we do not hear the mempool, since when, and that we do again.
function showSight(state, title, text) {
  const section = document.getElementById("sight");
  clearTimeout(goodNews);
  section.dataset.state = state;
  section.querySelector("strong").textContent = title;
  section.querySelector("p").textContent = text;
  section.hidden = state === "connected" && !wasAway;
  document.getElementById("empty").textContent = state === "connected" ? LISTENING : "No whale can be heard now.";
  if (state === "connected" && wasAway) goodNews = setTimeout(() => { section.hidden = true; }, GOOD_NEWS_MS);
  wasAway = state !== "connected";
}

function showMempool(connection) {
  const since = connection.since ? `since ${new Date(connection.since).toLocaleString()}` : "not heard yet";
  if (connection.status === "degraded") {
    showConnection("degraded", "degraded");
    const [title, ...why] = connection.message.split(": ");
    showSight("degraded", `${title}, ${since}`, why.join(": "));
  } else if (connection.status === "disconnected") {
    showConnection("disconnected", "disconnected");
    showSight("disconnected", `Not connected to the mempool, ${since}`, connection.message);
  } else {
    showConnection(connection.status, connection.message || connection.status);
    showSight("connected", "The mempool is heard again", connection.message);
  }
}

function hear({ type, data }) {
  if (type === "whale_alert") showWhale(data);
  else if (type === "status_update") showUpdate(data);
  else if (type === "connection") showMempool(data);
  else if (type === "lagged") {
    missed += data.n;
    showConnection("disconnected", "this page was too slow");
  }
}

async function connect(retryMs) {
  let wait = retryMs;
  try {
    const answer = await fetch("/api/v1/status");
    if (answer.status === 401) {
      showConnection("disconnected", "a token is needed");
      showSight("disconnected", "This page hears nothing", "A token is needed here, and this page shows none.");
      setTimeout(connect, MAX_RETRY_MS, MAX_RETRY_MS);
      return;
    }
    const status = await answer.json();
    if (status.simulated) document.getElementById("simulated").hidden = false;
    const host = location.hostname.startsWith("[") ? "localhost" : location.hostname;
    const socket = new WebSocket(`ws://${host}:${status.alerts_port}/`);
    socket.onmessage = (event) => hear(JSON.parse(event.data));
    await new Promise((resolve) => {
      socket.onopen = () => {
        wait = 1000;
        showConnection("connected", "listening");
      };
      socket.onclose = resolve;
    });
  } catch (error) {
    console.warn("the service does not answer", error);
  }
  showConnection("disconnected", "disconnected \u2013 trying again");
  showSight("disconnected", "This page hears nothing", "Hydrophone itself does not answer; trying again.");
  setTimeout(connect, wait, Math.min(wait * 2, MAX_RETRY_MS));
}

connect(1000);
