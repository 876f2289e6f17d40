import { useMemo, useState } from "preact/hooks";
import type { Explanation } from "../../api/types";
import { Copy } from "../../components/copy";
import { External } from "../../components/icons";
import { Panel } from "../../components/panel";
import { ShareBar } from "../../components/share-bar";
import { formatInstant, formatShare } from "../../model/amounts";
import { type Claimed, claimsOf, webAddress } from "../../model/explained";

const FIRST = 6; // chosen: a sweep has forty that say the same
const PLACES = 5;

/** What labels say of the scripts on either side, and who says so. */
export function Claims({ explanation }: { explanation: Explanation }) {
  const [isWhole, setWhole] = useState(false);
  const claims = useMemo(() => claimsOf(explanation), [explanation]);
  const shown = isWhole ? claims : claims.slice(0, FIRST);
  return (
    <Panel
      id="claims"
      title="Label sources"
      hint="labels are claims of somebody, not facts; how sure each is stands beside it"
      aside={<span class="count">{claims.length}</span>}
    >
      {claims.length === 0 ? (
        <p class="panel-body muted">Nobody claims to know any script on either side.</p>
      ) : (
        <ul class="claims">
          {shown.map((claim) => (
            <Claim key={`${claim.label.source} ${claim.label.entity} ${claim.places[0]}`} {...claim} />
          ))}
        </ul>
      )}
      {claims.length > FIRST && (
        <p class="claims-more">
          <button type="button" class="button" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Show fewer" : `Show all ${claims.length}`}
          </button>
        </p>
      )}
    </Panel>
  );
}

function Claim({ label, places }: Claimed) {
  const url = webAddress(label.source_url);
  const address = label.address ?? label.script;
  return (
    <li class="claim">
      <p class="claim-who">
        <b>{label.entity}</b> {label.kind}
        {label.role !== "unknown" && `, ${label.role}`}
        {label.disputed && <span class="mark mark-warn">disputed</span>}
        {!label.gives_direction && (
          <span class="mark" title={label.why_not ?? undefined}>
            gives no direction
          </span>
        )}
        {label.learned !== null && <span class="mark mark-note">learned here</span>}
      </p>
      <p class="claim-where">
        <code class="address">{address}</code>
        <Copy text={address} what="the address" />
        <small>
          {places.slice(0, PLACES).join(", ")}
          {places.length > PLACES && ` and ${places.length - PLACES} more`}
        </small>
      </p>
      <p class="claim-sure">
        <ShareBar share={label.confidence} />
        <span>{formatShare(label.confidence)} sure</span>
      </p>
      {label.why_not !== null && <p class="claim-note">No direction from it: {label.why_not}.</p>}
      {label.learned !== null && (
        <p class="claim-note">
          Learned at {formatInstant(Date.parse(label.learned.learned_at))} by{" "}
          {label.learned.how.replaceAll("_", " ")} from <code class="address">{label.learned.evidence}</code>.
          It follows from what is below.
        </p>
      )}
      <p class="claim-source">
        {url === null ? (
          label.source
        ) : (
          <a href={url} rel="noopener noreferrer" target="_blank">
            {label.source} <External />
          </a>
        )}
        <span>{label.as_of === null ? "no date" : `as of ${label.as_of}`}</span>
        {label.licence !== "" && <span>licence: {label.licence}</span>}
        {label.citation !== "" && <q>{label.citation}</q>}
      </p>
    </li>
  );
}
