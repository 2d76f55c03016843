# Built from the source beside this file.
g++ -O2 "$PROGRAMS/boost-interval.cpp" -o boost-interval -frounding-math
exec ./boost-interval
