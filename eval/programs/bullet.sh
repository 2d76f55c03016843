# Built from the source beside this file.
g++ -O2 "$PROGRAMS/bullet.cpp" -o bullet $(pkg-config --cflags --libs bullet 2> /dev/null || echo -I/usr/include/bullet -lBulletDynamics -lBulletCollision -lLinearMath)
exec ./bullet
