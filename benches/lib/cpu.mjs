// Time on the CPU: of the main thread, which is what an application has least of, and of the whole process.
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

/** Starts now; `stop()` answers microseconds since. `mainThreadMicros` is null where the system does not tell. */
export function cpuMeter() {
  const loop = performance.eventLoopUtilization();
  const main = mainThreadMicros();
  const all = process.cpuUsage();
  return {
    stop() {
      const allSince = process.cpuUsage(all);
      const mainNow = mainThreadMicros();
      const loopSince = performance.eventLoopUtilization(loop);
      return {
        mainThreadMicros: main === null || mainNow === null ? null : mainNow - main,
        // Active time is utilization times wall time; it also counts moments when another process had the core.
        loopBusyMicros: loopSince.active * 1000,
        allThreadsMicros: allSince.user + allSince.system,
      };
    },
  };
}

// The main thread's id is the process id. schedstat counts nanoseconds, stat whole ticks of 10 ms.
function mainThreadMicros() {
  const folder = `/proc/self/task/${process.pid}`;
  try {
    return Number(readFileSync(`${folder}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  } catch {
    // Kernels without scheduler statistics: the coarser file below.
  }
  try {
    const stat = readFileSync(`${folder}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return null;
  }
}
