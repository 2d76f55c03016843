# Built from the source beside this file.
g++ -O2 "$PROGRAMS/cgal-interval.cpp" -o cgal-interval -frounding-math -lmpfr -lgmp
exec ./cgal-interval
