// Looking again and again, for as long as somebody looks.

/** Calls `work` now and `ms` after each end of it, until `signal` ends. While the tab is hidden it rests. */
export async function repeat(ms, signal, work) {
  while (!signal.aborted) {
    if (!document.hidden) await work()
    await pause(ms, signal)
  }
}

/** Resolves after `ms`, when `signal` ends, or when the tab is looked at again. */
export const pause = (ms, signal) =>
  new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener("abort", done)
      document.removeEventListener("visibilitychange", seen)
      resolve()
    }
    const seen = () => document.hidden || done()
    const timer = setTimeout(done, ms)
    signal?.addEventListener("abort", done)
    document.addEventListener("visibilitychange", seen)
  })
