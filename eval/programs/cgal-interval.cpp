// Triangulation with exact predicates: CGAL filters them by interval arithmetic.
#include <CGAL/Delaunay_triangulation_3.h>
#include <CGAL/Exact_predicates_exact_constructions_kernel.h>
#include <CGAL/point_generators_3.h>
#include <vector>
using K = CGAL::Exact_predicates_exact_constructions_kernel;
int main() {
    for (;;) {
        CGAL::Random_points_in_sphere_3<K::Point_3> at(100.0);
        CGAL::Delaunay_triangulation_3<K> t;
        for (int i = 0; i < 20000; i++) t.insert(*at++);
    }
}
