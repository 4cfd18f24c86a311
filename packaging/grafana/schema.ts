// The type of signet.json: Grafana's own types (@grafana/schema), narrowed to the kinds of panels that are used. For
// packaging/check.py, which puts the dashboard into a module and compiles it.
import type { Dashboard, DataQuery, DataSourceRef, FieldConfig, Panel, RowPanel } from "@grafana/schema";
import type { Options as StatOptions }
  from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { FieldConfig as TimeSeriesFields, Options as TimeSeriesOptions }
  from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// A type as JSON has it: values in place of enums.
type Json<T> =
  unknown extends T ? T
  : T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : never)
  : T extends (infer E)[] ? Json<E>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;

// The published types leave the members of Prometheus's queries open. These are the ones that the dashboard uses.
type Query = Omit<DataQuery, "datasource"> & {
  datasource: Required<Pick<DataSourceRef, "type" | "uid">>;
  expr: string;
  legendFormat: string;
  range: true;
};

// Grafana fills in options that are missing, but not members of an option.
type PanelOf<Type, Options, Fields> = Omit<Panel, "type" | "options" | "fieldConfig" | "targets"> & {
  type: Type;
  id: number;
  options: Partial<Options>;
  fieldConfig: { defaults: Omit<FieldConfig, "custom"> & { custom?: Fields }; overrides: [] };
  targets: Query[];
};

export type SignetDashboard = Json<Omit<Dashboard, "panels"> & {
  uid: string;
  title: string;
  panels: (
    | RowPanel
    | PanelOf<"stat", StatOptions, never>
    | PanelOf<"timeseries", TimeSeriesOptions, TimeSeriesFields>
  )[];
}>;
