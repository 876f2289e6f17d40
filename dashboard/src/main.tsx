import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/live.css";
import "./styles/chart.css";
import "./styles/whale.css";
import "./styles/flows.css";
import "./styles/views.css";
import "./styles/fees.css";
import "./styles/record.css";
import "./styles/system.css";
import { render } from "preact";
import { App } from "./app";
import { start } from "./state/session";

const root = document.getElementById("app");
if (root === null) throw new Error("the page has no element #app");
render(<App />, root);
start();
