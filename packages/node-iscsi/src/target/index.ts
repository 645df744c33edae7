// Public names of node-iscsi/target: a target with one LUN and faults on demand, for tests. Apart, so that an initiator need not load it.
export type { Backing, BackingOptions } from "./backing.ts";
export type {
  ByteCut,
  CommandTrigger,
  DataInFault,
  FaultTrigger,
  PduTrigger,
  ScriptedStatus,
  SentPdu,
  TargetAsyncMessage,
  TargetFaults,
  TargetLimits,
} from "./faults.ts";
export { IscsiTarget, type IscsiTargetOptions, type TargetSessionView } from "./target.ts";
export type { TargetCounts } from "./target-connection-wire.ts";
