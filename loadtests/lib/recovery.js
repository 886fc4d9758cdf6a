// How long after an overload the last answer came that was not whole.
import exec from 'k6/execution';
import { Trend } from 'k6/metrics';
import { rank } from './rank.js';

const notWhole = new Trend('plugrank_recovery_ms', true);

// Full quality is back within 5 s: nothing but whole answers after that.
export const RECOVERED = { plugrank_recovery_ms: ['max<5000'] };

// Ranks; for a scenario that starts the moment the overload ends.
export function recover() {
  const { kind } = rank();
  if (kind !== 'whole') notWhole.add(Date.now() - exec.scenario.startTime);
}
