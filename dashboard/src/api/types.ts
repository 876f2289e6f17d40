// The public schema by the names that are used here. All of it is made from what the service serves.
import type { components } from "./schema.gen";

type Schemas = components["schemas"];

export type Accuracy = Schemas["AccuracyV1"];
export type Alert = Schemas["WhaleAlertV1"];
export type Connection = Schemas["ConnectionV1"];
export type Coverage = Schemas["CoverageV1"];
export type Entity = Schemas["EntityV1"];
export type Explanation = Schemas["ExplanationV1"];
export type FeeMarket = Schemas["FeeMarketV1"];
export type Gaps = Schemas["GapsV1"];
export type Netflow = Schemas["NetflowV1"];
export type NetflowPage = Schemas["NetflowPageV1"];
export type Prediction = Schemas["PredictionV1"];
export type PredictionDetail = Schemas["PredictionDetailV1"];
export type PredictionsPage = Schemas["PredictionsPageV1"];
export type RecordPage = Schemas["RecordPageV1"];
export type ServerMessage = Schemas["ServerMessage"];
export type Status = Schemas["StatusV1"];
export type StatusUpdate = Schemas["StatusUpdateV1"];
export type Version = Schemas["VersionV1"];
