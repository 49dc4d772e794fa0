// The status page's style sheet: system fonts, two sets of colours, one column on a narrow screen.
//
// Class names are short because the page is sent every few seconds: n note, m mark, b banner, w its word, k kept on one line;
// cr critical, wa warning, pr progress, ok healthy, un unknown.

extension StatusPage {
    static let style: HTML = """

        :root{--bg:#f6f8fa;--card:#fff;--fg:#1f2328;--mu:#59636e;--li:#d1d9e0;--a:#0550ae;
        --cr:#a40e26;--crb:#ffebe9;--wa:#6f4400;--wab:#fff3c4;--ok:#116329;--okb:#dafbe1;--pr:#0a4a94;--prb:#ddf0ff;--un:#3d444d;--unb:#e8ebef}
        @media(prefers-color-scheme:dark){:root{--bg:#0d1117;--card:#151b23;--fg:#f0f6fc;--mu:#a3adb8;--li:#3d444d;--a:#79b8ff;
        --cr:#ffb1a8;--crb:#4a1419;--wa:#f5cf6b;--wab:#3d2b00;--ok:#7ee2a0;--okb:#0f3319;--pr:#a8d4ff;--prb:#0d2f55;--un:#d1d7e0;--unb:#2a313c}}
        *{box-sizing:border-box}
        body{margin:0 auto;padding:1rem;max-width:70rem;background:var(--bg);color:var(--fg);font:1rem/1.45 system-ui,sans-serif;overflow-wrap:anywhere}
        header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:baseline;gap:0 1rem}
        h1{font-size:1.25rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:0 0 .6rem}p{margin:.4rem 0}
        .n{color:var(--mu);font-weight:400}header p{margin:0 0 .5rem;font-size:.875rem}h1 .n{font-size:1rem}
        section{background:var(--card);border:1px solid var(--li);border-radius:8px;padding:1rem;margin:0 0 1rem}section>:last-child{margin-bottom:0}
        .b{border:0;border-left:6px solid}.b h2{font-size:1.25rem;margin:0}.b ul{margin:.6rem 0 0;padding-left:1.2rem}.b li{margin:.25rem 0}.b .n{color:inherit}
        .w{display:inline-block;border:1px solid;border-radius:1rem;padding:0 .6rem;margin-right:.4rem;font-size:1rem}
        .cr{color:var(--cr)}.wa{color:var(--wa)}.ok{color:var(--ok)}.pr{color:var(--pr)}.un{color:var(--un)}
        .b.cr{background:var(--crb)}.b.wa{background:var(--wab)}.b.ok{background:var(--okb)}.b.pr{background:var(--prb)}.b.un{background:var(--unb)}
        .b .m{color:inherit}.m{font-weight:600}.m,.k{white-space:nowrap}
        table{width:100%;border-collapse:collapse;font-size:.925rem;margin:0 0 .75rem}
        caption{text-align:left;color:var(--mu);padding:.25rem 0}
        th,td{text-align:left;vertical-align:top;padding:.4rem 1rem .4rem 0;border-top:1px solid var(--li)}
        thead th{color:var(--mu);font-weight:600;border-top:0;padding-bottom:.2rem}
        th .n,td .n{display:block;font-size:.8125rem}time+.n{display:inline}td>.n:only-child{font-size:inherit}
        dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1rem;margin:0 0 .6rem}dt{color:var(--mu)}dd{margin:0}dd ul{margin:0;padding-left:1.1rem}
        progress{width:14rem;max-width:60%;height:.8rem;accent-color:var(--pr);vertical-align:middle}
        a{color:var(--a)}footer{color:var(--mu);font-size:.875rem}footer a{display:inline-block;padding:.3rem 1rem .3rem 0}
        code{font:.9em ui-monospace,monospace}
        @media(max-width:44rem){body{padding:.75rem}section{padding:.8rem}
        table,tbody{display:block}caption{display:block}thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
        tr{display:block;border-top:1px solid var(--li);padding:.5rem 0}th,td{display:block;border:0;padding:.1rem 0}
        td{position:relative;padding-left:7.5rem}td::before{content:attr(data-l);color:var(--mu);position:absolute;left:0}
        dl{grid-template-columns:1fr;gap:0}.m,.k{white-space:normal}dd{margin:0 0 .4rem}}

        """
}
