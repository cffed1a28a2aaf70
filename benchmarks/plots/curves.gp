# Draws the curves from their figures: `gnuplot curves.gp` here; `benchmarks/curves` measures and does it.
set terminal svg size 720,500 font "sans-serif,13" background "#ffffff" linewidth 1
set datafile separator "\t"
set logscale xy
set grid xtics ytics linecolor "#e0e0e0"
set border 3 linecolor "#606060"
set tics nomirror
set key below left vertical maxrows 3 reverse Left samplen 2 height 1
set ylabel "server's processor time, µs"
set yrange [0.05:20]
set format y "%g"
set style line 1 linecolor "#0b5394" linewidth 2 pointtype 7 pointsize 0.6
set style line 2 linecolor "#b45f06" linewidth 2 pointtype 5 pointsize 0.6
set style line 3 linecolor "#38761d" linewidth 2 pointtype 9 pointsize 0.8

file = "stored"
set output "stored.svg"
set title "Cost against events stored (200 bytes, fan-out to 100 readers)"
set xlabel "events stored"
set xtics ("10 k" 1e4, "100 k" 1e5, "1 M" 1e6, "10 M" 1e7)
set xrange [7e3:1.4e7]
plot file.".tsv" using 1:3 with linespoints linestyle 1 title "publishing, per event", \
     "" using 1:2 with linespoints linestyle 2 title "replay, per event", \
     "" using 1:4 with linespoints linestyle 3 title "fan-out, per delivery, publishing included"

file = "readers"
set output "readers.svg"
set title "Cost against WebSocket readers (200 bytes)"
set xlabel "readers connected"
set xtics ("1" 1, "10" 10, "100" 100, "1,000" 1000, "5,000" 5000)
set xrange [0.8:7000]
plot file.".tsv" using 1:3 with linespoints linestyle 1 title "publishing, per event, beside readers of another stream", \
     "" using 1:2 with linespoints linestyle 2 title "replay to all of them, per delivery", \
     "" using 1:4 with linespoints linestyle 3 title "fan-out, per delivery, publishing included"

set yrange [0.05:1000]
file = "payload"
set output "payload.svg"
set title "Cost against payload (fan-out to 100 readers)"
set xlabel "payload of an event"
set xtics ("100 B" 100, "1 KiB" 1024, "4 KiB" 4096, "16 KiB" 16384, "64 KiB" 65536)
set xrange [80:82000]
plot file.".tsv" using 1:3 with linespoints linestyle 1 title "publishing, per event", \
     "" using 1:2 with linespoints linestyle 2 title "replay, per event", \
     "" using 1:4 with linespoints linestyle 3 title "fan-out, per delivery, publishing included"
