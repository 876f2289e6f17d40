// The alert websocket as the page needs it: it reconnects, resumes where it was, and says when that is not
// possible. The rules are in docs/api.md, "What was missed".
import type { Connection, ServerMessage } from "./types";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8_000;
const PING_MS = 20_000;
const PATIENCE_MS = 10_000;

export type StreamState = "connecting" | "live" | "resuming" | "lost" | "refused";
export type Said = Extract<ServerMessage, { type: "whale_alert" } | { type: "status_update" }>;

export interface Listener {
  /** A message of the record, in order, each once. */
  said(message: Said): void;
  /** What the service hears. */
  connection(connection: Connection): void;
  /** What was said between `since` and now is not to be had: read everything anew. */
  resync(): void;
  state(state: StreamState): void;
  /** The service's clock, milliseconds since 1970. */
  time(ms: number): void;
  /** A token is missing or wrong. */
  refused(message: string): void;
}

export interface StreamOptions {
  url: string;
  token: () => string | null;
  listener: Listener;
  open?: (url: string) => WebSocket;
  random?: () => number;
}

export class Stream {
  private readonly options: StreamOptions;
  private socket: WebSocket | null = null;
  private since: number | null = null;
  private retryMs = FIRST_RETRY_MS;
  private retryTimer = 0;
  private pingTimer = 0;
  private pongTimer = 0;
  private subscription = 0;
  private isSubscribed = false;
  private wasLost = false;

  constructor(options: StreamOptions) {
    this.options = options;
  }

  /** Connects, and stays connected until `stop`. */
  start(): void {
    this.stop();
    this.connect();
  }

  stop(): void {
    clearTimeout(this.retryTimer);
    this.drop();
  }

  private connect(): void {
    const { listener, url, open = (address) => new WebSocket(address) } = this.options;
    listener.state(this.since === null && !this.wasLost ? "connecting" : "resuming");
    const socket = open(url);
    this.socket = socket;
    this.isSubscribed = false;
    this.expect(); // a connection that is neither refused nor answered
    socket.onopen = () => {
      const token = this.options.token();
      if (token === null) this.subscribe();
      else this.send({ type: "authenticate", token });
    };
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      if (socket === this.socket) this.hear(JSON.parse(data) as ServerMessage);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.reconnect();
    };
  }

  private hear(message: ServerMessage): void {
    const { listener } = this.options;
    switch (message.type) {
      case "authenticated":
        this.subscribe();
        break;
      case "subscribed":
        listener.time(Date.parse(message.timestamp));
        if (message.data.id === this.subscription) this.beginListening(message.data.seq);
        break;
      case "whale_alert":
      case "status_update":
        if (!this.isSubscribed || (this.since !== null && message.seq <= this.since)) break;
        this.since = message.seq;
        listener.said(message);
        break;
      case "connection":
        listener.connection(message.data);
        break;
      case "resync_required":
        if (message.data.id !== this.subscription) break;
        this.since = message.data.seq;
        listener.resync();
        break;
      case "lagged":
        this.subscribe();
        break;
      case "pong":
        clearTimeout(this.pongTimer);
        listener.time(Date.parse(message.timestamp));
        // Before the subscription is answered it tells nothing: what was dropped comes yet.
        if (this.isSubscribed) this.since = Math.max(this.since ?? 0, message.data.seq ?? 0);
        break;
      case "error":
        if (message.data.code === "unauthorized") this.refuse(message.data.message);
        break;
      default:
        break; // types may be added
    }
  }

  /** The subscription was answered: `seq` is the newest entry at that moment. */
  private beginListening(seq: number): void {
    const { listener } = this.options;
    this.isSubscribed = true;
    this.wasLost = false;
    this.retryMs = FIRST_RETRY_MS;
    clearTimeout(this.pongTimer);
    this.keepAlive();
    if (this.since === null) {
      this.since = seq;
      listener.resync();
    }
    listener.state("live");
  }

  private subscribe(): void {
    this.subscription += 1;
    this.isSubscribed = false;
    this.send({ type: "subscribe", id: this.subscription, since: this.since });
  }

  private send(message: object): void {
    this.socket?.send(JSON.stringify(message));
  }

  private keepAlive(): void {
    clearInterval(this.pingTimer);
    this.pingTimer = window.setInterval(() => {
      this.send({ type: "ping" });
      this.expect();
    }, PING_MS);
  }

  private expect(): void {
    clearTimeout(this.pongTimer);
    this.pongTimer = window.setTimeout(() => this.reconnect(), PATIENCE_MS);
  }

  private refuse(message: string): void {
    this.drop();
    this.options.listener.state("refused");
    this.options.listener.refused(message);
  }

  private reconnect(): void {
    this.drop();
    this.wasLost = true;
    this.options.listener.state("lost");
    const jitter = 0.5 + (this.options.random ?? Math.random)();
    this.retryTimer = window.setTimeout(() => this.connect(), this.retryMs * jitter);
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
  }

  private drop(): void {
    clearInterval(this.pingTimer);
    clearTimeout(this.pongTimer);
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }
}
