import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { allowNotifications, isSoundBlocked, ping, unlockSound } from "../state/announcer";
import { lastLive, view } from "../state/router";
import { connection, price, prices, streamState } from "../state/session";
import { currency, notify, sound, theme, unit } from "../state/settings";
import { Banners } from "./banners";
import {
  Bell,
  BellOff,
  Fees,
  Flows,
  Live,
  Logo,
  Moon,
  Muted,
  Record,
  Screen,
  Sound,
  Sun,
  System,
} from "./icons";
import { Link } from "./link";
import { Segmented } from "./segmented";

const PLACES = [
  { to: "/", name: "live", text: "Live", Icon: Live },
  { to: "/flows", name: "flows", text: "Flows", Icon: Flows },
  { to: "/fees", name: "fees", text: "Fees", Icon: Fees },
  { to: "/record", name: "record", text: "Record", Icon: Record },
  { to: "/system", name: "system", text: "System", Icon: System },
] as const;

export function Shell({ children }: { children: ComponentChildren }) {
  useKeptFocus();
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <Link to="/" class="brand" aria-label="Hydrophone, live view">
          <Logo />
          <span>Hydrophone</span>
        </Link>
        <nav class="nav" aria-label="Views">
          {PLACES.map(({ to, name, text, Icon }) => (
            <Link
              key={to}
              to={name === "live" ? lastLive.value : to}
              aria-current={isCurrent(name) ? "page" : undefined}
            >
              <Icon />
              <span>{text}</span>
            </Link>
          ))}
        </nav>
        <div class="tools">
          <Hearing />
          <Units />
          <Switches />
        </div>
      </header>
      <Banners />
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      <footer class="foot">
        <span>Labels are claims, probabilities are counted, nothing here is advice.</span>
        <a href="/docs">API</a>
      </footer>
    </>
  );
}

/** What had the focus went with its view: without this the keyboard would begin at the top of the page. */
function useKeptFocus(): void {
  const here = view.value;
  const before = useRef(here);
  useEffect(() => {
    if (before.current !== here && document.activeElement === document.body) {
      document.getElementById("main")?.focus({ preventScroll: true });
    }
    before.current = here;
  }, [here]);
}

function isCurrent(name: string): boolean {
  return view.value.name === name || (name === "live" && view.value.name === "whale");
}

/** One word for whether whales can be heard now. */
function Hearing() {
  const [state, text] = hearing();
  return (
    <span class={`hearing hearing-${state}`} data-testid="hearing" role="status">
      <span class="dot" aria-hidden="true" />
      {text}
    </span>
  );
}

function hearing(): [state: "good" | "wait" | "bad", text: string] {
  if (streamState.value === "refused") return ["bad", "token needed"];
  if (streamState.value === "connecting") return ["wait", "connecting"];
  if (streamState.value !== "live") return ["bad", "disconnected"];
  if (connection.value?.status === "degraded") return ["bad", "degraded"];
  if (connection.value?.mempool_available === false) return ["bad", "not hearing"];
  return ["good", "listening"];
}

function Units() {
  const code = currency.value;
  const known = Object.keys(prices.value ?? {});
  return (
    <div class="units">
      <Segmented
        label="Unit"
        value={unit.value}
        options={[
          ["btc", "BTC"],
          ["sat", "sat"],
          [
            "fiat",
            code,
            price.value === null
              ? "no price is known: the source tells none"
              : `at ${price.value.perBtc.toLocaleString("en")} ${code} now`,
          ],
        ]}
        disabled={(value) => value === "fiat" && price.value === null}
        onChange={(value) => {
          unit.value = value;
        }}
      />
      {unit.value === "fiat" && known.length > 1 && (
        <select
          aria-label="Currency"
          value={code}
          onChange={(event) => {
            currency.value = event.currentTarget.value;
          }}
        >
          {known.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      )}
    </div>
  );
}

const THEMES = { system: "dark", dark: "light", light: "system" } as const;
const THEME_ICONS = { system: Screen, dark: Moon, light: Sun } as const;

function Switches() {
  const ThemeIcon = THEME_ICONS[theme.value];
  const isLoud = sound.value === "on";
  const isHeard = isLoud && !isSoundBlocked.value;
  const isTold = notify.value === "on" && mayNotify();
  return (
    <div class="switches">
      <button
        type="button"
        class="switch"
        aria-pressed={isLoud}
        title={isHeard ? "Sound is on" : isLoud ? "Sound comes after a click on this page" : "Sound is off"}
        onClick={() => {
          if (isHeard) sound.value = "off";
          else {
            sound.value = "on";
            unlockSound();
            void ping();
          }
        }}
      >
        {isHeard ? <Sound /> : <Muted />}
        <span class="unseen">Sound for new whales</span>
      </button>
      <button
        type="button"
        class="switch"
        aria-pressed={isTold}
        title={isTold ? "Notifications are on" : "Notifications are off"}
        onClick={() => void switchNotifications()}
      >
        {isTold ? <Bell /> : <BellOff />}
        <span class="unseen">Browser notifications for new whales</span>
      </button>
      <button
        type="button"
        class="switch"
        title={`Theme: ${theme.value}`}
        onClick={() => {
          theme.value = THEMES[theme.value];
        }}
      >
        <ThemeIcon />
        <span class="unseen">Theme: {theme.value}</span>
      </button>
    </div>
  );
}

/** The browser may have been told otherwise since. */
function mayNotify(): boolean {
  return "Notification" in window && Notification.permission === "granted";
}

async function switchNotifications(): Promise<void> {
  const isTold = notify.value === "on" && mayNotify();
  notify.value = !isTold && (await allowNotifications()) ? "on" : "off";
}
