// A game's physics: a heap of boxes that falls, again and again.
#include <btBulletDynamicsCommon.h>
#include <memory>
#include <vector>
int main() {
    for (;;) {
        btDefaultCollisionConfiguration configuration;
        btCollisionDispatcher dispatcher(&configuration);
        btDbvtBroadphase broadphase;
        btSequentialImpulseConstraintSolver solver;
        btDiscreteDynamicsWorld world(&dispatcher, &broadphase, &solver, &configuration);
        btStaticPlaneShape plane(btVector3(0, 1, 0), 0);
        btBoxShape box(btVector3(0.5, 0.5, 0.5));
        std::vector<std::unique_ptr<btRigidBody>> bodies;
        auto add = [&](btScalar mass, btCollisionShape *shape, btVector3 at) {
            btVector3 inertia(0, 0, 0);
            if (mass > 0) shape->calculateLocalInertia(mass, inertia);
            btRigidBody::btRigidBodyConstructionInfo info(mass, nullptr, shape, inertia);
            info.m_startWorldTransform.setOrigin(at);
            bodies.push_back(std::make_unique<btRigidBody>(info));
            world.addRigidBody(bodies.back().get());
        };
        add(0, &plane, btVector3(0, 0, 0));
        for (int i = 0; i < 600; i++) add(1, &box, btVector3(i % 5 * 1.1, 1 + i / 5 * 1.2, i % 7 * 0.3));
        for (int i = 0; i < 600; i++) world.stepSimulation(1 / 60.0);
        for (auto &b : bodies) world.removeRigidBody(b.get());
    }
}
