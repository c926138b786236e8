/**
 * Keeps the process alive until the promise settles. World's sleeps do not, so that nothing periodic delays an exit;
 * but a start that waits for the database has nothing else yet that would keep Node from ending in the middle of it.
 */
export async function holdOpen<T>(pending: Promise<T>): Promise<T> {
  const { port1 } = new MessageChannel()
  port1.ref()
  try {
    return await pending
  } finally {
    port1.close()
  }
}
