/** Calls `refresh` again and again while the page is visible and `connected()`. */
export function keepFresh(refresh, period, connected) {
  const run = async () => {
    if (!document.hidden && connected()) await Promise.resolve(refresh()).catch(() => {});
    setTimeout(run, period);
  };
  run();
}
