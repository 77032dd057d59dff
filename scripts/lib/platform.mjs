// Which of the platform packages under npm/ is this machine's.

/** As the napi command names it: linux-x64-gnu, darwin-arm64, win32-x64-msvc. */
export function platformName() {
  const { platform, arch } = process
  if (platform === 'linux') {
    const glibc = process.report?.getReport()?.header?.glibcVersionRuntime
    return `linux-${arch}-${glibc ? 'gnu' : 'musl'}`
  }
  return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`
}
