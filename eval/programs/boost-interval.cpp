// Interval arithmetic as Boost has it: rounding towards minus and plus infinity, and back.
#include <boost/numeric/interval.hpp>
#include <vector>
using I = boost::numeric::interval<double>;
int main() {
    std::vector<I> v(4096, I(0.1, 0.2));
    for (;;)
        for (auto &x : v) x = (x * x + I(0.3, 0.31)) / (x + I(1.0, 1.1));
}
