// Lists whales as the alert websocket says them. Text is only ever set with textContent.
const MAX_ROWS = 200; // chosen: more than anybody scrolls
const MAX_RETRY_MS = 30_000;

const whales = document.getElementById("whales");
const rows = new Map(); // prediction id -> row, oldest first
const btc = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
let missed = 0;

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

function showStatus(row, state, text) {
  row.dataset.status = state;
  cell(row, "status", text);
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
  } else {
    showStatus(row, update.new_status, update.new_status);
  }
}

function showConnection(state, text) {
  const line = document.getElementById("connection");
  line.dataset.state = state;
  line.textContent = missed ? `${text} \u2013 ${missed} messages missed` : text;
}

function hear({ type, data }) {
  if (type === "whale_alert") showWhale(data);
  else if (type === "status_update") showUpdate(data);
  else if (type === "connection") showConnection(data.status, data.message || data.status);
  else if (type === "lagged") {
    missed += data.n;
    showConnection("degraded", "this page was too slow");
  }
}

async function connect(retryMs) {
  let wait = retryMs;
  try {
    const status = await (await fetch("/api/v1/status")).json();
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
  setTimeout(connect, wait, Math.min(wait * 2, MAX_RETRY_MS));
}

connect(1000);
