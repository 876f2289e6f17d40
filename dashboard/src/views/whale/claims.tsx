import { useMemo, useState } from "preact/hooks";
import type { Explanation } from "../../api/types";
import { Copy } from "../../components/copy";
import { External } from "../../components/icons";
import { Panel } from "../../components/panel";
import { ShareBar } from "../../components/share-bar";
import { formatInstant, formatShare, shortTxid } from "../../model/amounts";
import { type Claimed, claimsOf, webAddress } from "../../model/explained";

const FIRST = 3; // chosen: a sweep has forty scripts of one claim
const PLACES = 5;

/** What labels say of the scripts on either side, and who says so. */
export function Claims({ explanation }: { explanation: Explanation }) {
  const claims = useMemo(() => claimsOf(explanation), [explanation]);
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
          {claims.map((claim) => (
            <ClaimCard
              key={`${claim.label.source} ${claim.scripts[0]?.address} ${claim.label.entity}`}
              {...claim}
            />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function ClaimCard({ label, scripts }: Claimed) {
  return (
    <li class="claim">
      <p class="claim-who">
        <b>{label.entity}</b> {label.kind}
        {label.role !== "unknown" && `, ${label.role}`}
        {label.disputed && <span class="mark mark-warn">disputed</span>}
        {!label.gives_direction && <span class="mark">gives no direction</span>}
        {label.learned !== null && <span class="mark mark-note">learned here</span>}
      </p>
      <p class="claim-sure">
        <ShareBar share={label.confidence} />
        <span>{formatShare(label.confidence)} sure</span>
      </p>
      {label.why_not !== null && <p class="claim-note">No direction from it: {label.why_not}.</p>}
      <Source label={label} />
      <Scripts scripts={scripts} />
    </li>
  );
}

function Source({ label }: { label: Claimed["label"] }) {
  const url = webAddress(label.source_url);
  const { learned } = label;
  return (
    <>
      {learned !== null && (
        <p class="claim-learned">
          Learned at {formatInstant(Date.parse(learned.learned_at))} by {learned.how.replaceAll("_", " ")}{" "}
          from <code title={learned.evidence}>{shortTxid(learned.evidence)}</code>. It follows from:
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
        {label.citation !== "" && learned === null && <q>{label.citation}</q>}
      </p>
    </>
  );
}

function Scripts({ scripts }: Pick<Claimed, "scripts">) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? scripts : scripts.slice(0, FIRST);
  return (
    <ul class="claim-scripts">
      {shown.map(({ address, places }) => (
        <li key={address}>
          <code class="address">{address}</code>
          <Copy text={address} what="the address" />
          <small>
            {places.slice(0, PLACES).join(", ")}
            {places.length > PLACES && ` and ${places.length - PLACES} more`}
          </small>
        </li>
      ))}
      {scripts.length > FIRST && (
        <li>
          <button
            type="button"
            class="button button-plain"
            aria-expanded={isWhole}
            onClick={() => setWhole(!isWhole)}
          >
            {isWhole ? "fewer" : `and ${scripts.length - FIRST} more scripts`}
          </button>
        </li>
      )}
    </ul>
  );
}
