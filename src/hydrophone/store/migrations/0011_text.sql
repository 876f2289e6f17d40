-- A prediction carries the sentence that was said about it, so that a list can show it as the alert did.

ALTER TABLE mempool_predictions ADD COLUMN text TEXT;                 -- of the newest version's alert, as amended

-- What was said before now stands in the record, as far as its contents are kept.
UPDATE mempool_predictions AS p SET text = said.text
FROM (
    SELECT prediction_id, arg_max(coalesce(message ->> '$.data.text', message ->> '$.data.amendment.text'), seq) AS text
    FROM (
        SELECT prediction_id, seq, CASE WHEN json_valid(message) THEN message END AS message
        FROM record WHERE kind IN ('signal', 'amendment')
    )
    GROUP BY prediction_id
) said WHERE said.prediction_id = p.prediction_id AND said.text IS NOT NULL;
