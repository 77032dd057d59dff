// Why a route did not do what it was asked, in words for the page.

export async function refusalOf(response: Response): Promise<string> {
  if (response.status === 429) {
    const seconds = Number(response.headers.get('retry-after'))
    return `That is too often. Try again in ${seconds > 0 ? duration(seconds) : 'a while'}.`
  }
  const told = (await response.json().catch(() => ({}))) as { error?: string }
  return told.error ?? `The app answered with status ${response.status}.`
}

function duration(seconds: number): string {
  if (seconds > 90) return `${Math.ceil(seconds / 60)} minutes`
  return seconds === 1 ? 'a second' : `${seconds} seconds`
}
